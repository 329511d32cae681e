"""What an import did: every row of the file is in exactly one of its numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from producers.importers.checking import BadRow
from schemas.events.imports import ImportProgress

FAULTS_SHOWN = 100


@dataclass(slots=True)
class RowFaults:
    """A row that was put aside, and all that is wrong with it."""

    row_no: int
    faults: list[str]


@dataclass(slots=True)
class Report:
    """rows_read = published_rows + quarantined_rows + skipped_rows.

    skipped_rows: published by an earlier run of the same import.
    cleaned: rule -> rows it changed. quarantined: reason -> rows. published: topic -> records.
    faults: the first rows put aside; the quarantine has all. warnings: sentences.
    """

    import_id: str
    source: str
    file: str
    variant: str = ""
    encoding: str = ""
    delimiter: str = ""
    dry_run: bool = False
    status: Literal["running", "done", "failed"] = "running"
    rows_read: int = 0
    published_rows: int = 0
    quarantined_rows: int = 0
    skipped_rows: int = 0
    cleaned: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    faults: list[RowFaults] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cursor: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Was there a row to publish, now or before?"""
        return self.published_rows + self.skipped_rows > 0

    def put_aside(self, rows: list[BadRow]) -> None:
        self.quarantined_rows += len(rows)
        for row in rows:
            self.quarantined[row.reason] += 1
            if len(self.faults) < FAULTS_SHOWN:
                self.faults.append(RowFaults(row.row_no, [str(fault) for fault in row.faults]))

    def progress(self, now: datetime) -> ImportProgress:
        """The report as an event on `imports`."""
        return ImportProgress(
            id=f"{self.import_id}/{self.status}/{self.cursor}/{now.isoformat()}",
            occurred_at=now,
            import_id=self.import_id,
            source=self.source,
            file=self.file[-500:],
            status=self.status,
            rows_read=self.rows_read,
            published_rows=self.published_rows,
            quarantined_rows=self.quarantined_rows,
            skipped_rows=self.skipped_rows,
            cleaned=dict(self.cleaned),
            quarantined=dict(self.quarantined),
            published=dict(self.published),
            cursor=self.cursor,
            seconds=round(self.seconds, 3),
            problem=None if self.usable or self.status == "running" else "no row could be used",
        )

    def of_earlier_run(self, earlier: ImportProgress) -> None:
        """The same import was finished before: nothing to do."""
        self.status = "done"
        self.rows_read = earlier.rows_read
        self.quarantined_rows = earlier.quarantined_rows
        self.skipped_rows = earlier.published_rows + earlier.skipped_rows
        self.cleaned = Counter(earlier.cleaned)
        self.quarantined = Counter(earlier.quarantined)
        self.cursor = earlier.cursor
        self.warnings.append("This file was imported before; nothing was published again.")
