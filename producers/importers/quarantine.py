"""Rows that could not be taken, with reason and raw text, until somebody corrects them.

One SQLite file in the state folder. A row stands in it once, however often its file is imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from producers.importers.checking import BadRow, Fault
from runtime.errors import InventoryError

FILE_NAME = "quarantine.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY,
    import_id TEXT NOT NULL,
    row_no INTEGER NOT NULL,
    source TEXT NOT NULL,
    variant TEXT NOT NULL,
    file TEXT NOT NULL,
    faults TEXT NOT NULL,
    cells TEXT NOT NULL,
    raw TEXT NOT NULL,
    found_at TEXT NOT NULL,
    published_at TEXT,
    UNIQUE (import_id, row_no)
)
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A row in quarantine. cells: what stands under our columns; a retry may correct them."""

    id: int
    import_id: str
    row_no: int
    source: str
    variant: str
    file: str
    faults: list[Fault]
    cells: dict[str, str]
    raw: str
    found_at: str
    published_at: str | None = None


class Quarantine:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute(_SCHEMA)

    def add(
        self,
        rows: Iterable[BadRow],
        *,
        import_id: str,
        source: str,
        variant: str,
        file: str,
        at: datetime,
    ) -> None:
        """Hold these rows; those that are held already stay as they are."""
        self._db.executemany(
            "INSERT OR IGNORE INTO quarantine (import_id, row_no, source, variant, file, faults, "
            "cells, raw, found_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    import_id,
                    row.row_no,
                    source,
                    variant,
                    file,
                    _json(row.faults),
                    _json(row.cells),
                    row.raw,
                    at.isoformat(),
                )
                for row in rows
            ),
        )
        self._db.commit()

    def correct(self, held: Held, cells: dict[str, str], faults: Sequence[Fault]) -> None:
        """Note corrected cells, and what is still wrong with them."""
        self._db.execute(
            "UPDATE quarantine SET cells = ?, faults = ? WHERE id = ?",
            (_json(cells), _json(faults), held.id),
        )
        self._db.commit()

    def release(self, ids: Iterable[int], at: datetime) -> None:
        """These rows were published."""
        self._db.executemany(
            "UPDATE quarantine SET published_at = ? WHERE id = ?",
            ((at.isoformat(), row_id) for row_id in ids),
        )
        self._db.commit()

    def waiting(self, source: str | None = None) -> list[Held]:
        """The rows that wait for a correction, oldest first."""
        return self._select("published_at IS NULL AND (? IS NULL OR source = ?)", (source, source))

    def get(self, row_id: int) -> Held:
        """One row; raises InventoryError where there is none of that number."""
        found = self._select("id = ?", (row_id,))
        if not found:
            raise InventoryError(
                f"There is no row {row_id} in quarantine.",
                remedy="'inventory quarantine list' numbers them.",
            )
        return found[0]

    def _select(self, where: str, values: Sequence[object]) -> list[Held]:
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        cursor.execute(f"SELECT * FROM quarantine WHERE {where} ORDER BY id", values)
        return [_held(dict(row)) for row in cursor]


def _held(row: dict[str, Any]) -> Held:
    row["faults"] = msgspec.json.decode(row["faults"], type=list[Fault])
    row["cells"] = msgspec.json.decode(row["cells"], type=dict[str, str])
    return Held(**row)


@contextmanager
def open_quarantine(state_dir: Path) -> Iterator[Quarantine]:
    """The quarantine of a state folder; raises InventoryError where it cannot be written."""
    path = state_dir / FILE_NAME
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=30)
        try:
            yield Quarantine(db)
        finally:
            db.close()
    except (OSError, sqlite3.OperationalError) as error:
        raise InventoryError(
            f"The quarantine {path} cannot be opened or written: {error}.",
            remedy="Check the folder's rights and the room on its disk, or give another --state.",
        ) from error


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
