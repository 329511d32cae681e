"""How far an import is, and its report at the end. The latest of each import counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from schemas.events.base import Event, Id, Text


@dataclass(slots=True, kw_only=True)
class ImportProgress(Event):
    """The run report: every row read is in exactly one of published, quarantined, skipped.

    published_rows: became events. skipped_rows: were already published by an earlier run.
    cleaned: rule -> rows it changed. quarantined: reason -> rows.
    published: topic -> records. cursor: groups published so far, for a resume.
    """

    type: Literal["import_progress"] = "import_progress"
    import_id: Id
    source: Text
    file: Text
    status: Literal["running", "done", "failed"]
    rows_read: int = 0
    published_rows: int = 0
    quarantined_rows: int = 0
    skipped_rows: int = 0
    cleaned: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    cursor: int = 0
    seconds: float = 0.0
    problem: Text | None = None
