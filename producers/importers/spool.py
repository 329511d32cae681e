"""Clean rows on disk, grouped by order: memory stays flat whatever the file's size.

One SQLite file for a run, thrown away after it; the killed run's successor reads the file again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd

from producers.importers.source import Column, Placed, Row
from runtime.errors import InventoryError

_PLACED = ("group_key", "at", "stock_sku", "stock_place", "stock_delta")


class Need(NamedTuple):
    """The least to receive first, so that a history never goes below zero."""

    sku: str
    location_id: str
    quantity: int


class Spool:
    """rows: one a clean row of the file. known: keys that the catalogue topics already have."""

    def __init__(self, db: sqlite3.Connection, columns: Iterable[Column]) -> None:
        self.db = db
        names = [column.name for column in columns]
        self._names = names
        texts = "".join(f', "{name}" TEXT NOT NULL' for name in names)
        db.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -16384;
            CREATE TABLE rows (row_no INTEGER PRIMARY KEY, group_key TEXT NOT NULL,
                at INTEGER NOT NULL, stock_sku TEXT NOT NULL, stock_place TEXT NOT NULL,
                stock_delta INTEGER NOT NULL{texts});
            CREATE TABLE known (topic TEXT, key TEXT, event_id TEXT, PRIMARY KEY (topic, key));
            """
        )

    def add(self, rows: pd.DataFrame, placed: Placed) -> None:
        """Store the clean rows of a chunk."""
        if rows.empty:
            return
        frame = rows.assign(**dict(zip([f"_{name}" for name in _PLACED], placed, strict=True)))
        columns = [frame[f"_{name}"].tolist() for name in _PLACED]
        columns += [frame[name].tolist() for name in self._names]
        marks = ", ".join("?" * (1 + len(columns)))
        self.db.execute("BEGIN")
        self.db.executemany(
            f"INSERT INTO rows VALUES ({marks})",
            zip(rows.index.tolist(), *columns, strict=True),
        )
        self.db.execute("COMMIT")

    def arrange(self) -> int:
        """After the last row: put the groups in order; returns their number."""
        self.db.executescript(
            """
            CREATE INDEX rows_by_group ON rows (group_key);
            CREATE TABLE groups AS SELECT group_key, min(at) AS at, min(row_no) AS first
                FROM rows GROUP BY group_key;
            """
        )
        return int(self.db.execute("SELECT count(*) FROM groups").fetchone()[0])

    def groups(self) -> Iterator[tuple[str, list[Row]]]:
        """Every group's rows in the file's order; groups by time, then by the file's order."""
        keys = self.db.execute("SELECT group_key FROM groups ORDER BY at, first")
        members = self.db.cursor()
        members.row_factory = sqlite3.Row
        for (key,) in keys:
            members.execute("SELECT * FROM rows WHERE group_key = ? ORDER BY row_no", (key,))
            rows: list[Any] = members.fetchall()
            yield key, rows

    def needs(self) -> Iterator[Need]:
        """What `--opening-stock fit` receives; nothing where the level stays at or above zero."""
        found = self.db.execute(
            """
            SELECT stock_sku, stock_place, -min(level) FROM (
                SELECT stock_sku, stock_place, sum(stock_delta) OVER (
                    PARTITION BY stock_sku, stock_place ORDER BY groups.at, groups.first, row_no
                    ROWS UNBOUNDED PRECEDING) AS level
                FROM rows JOIN groups USING (group_key) WHERE stock_delta <> 0)
            GROUP BY stock_sku, stock_place HAVING min(level) < 0
            ORDER BY stock_sku, stock_place
            """
        )
        return (Need(*row) for row in found)

    def places(self) -> Iterator[tuple[str, str]]:
        """Every SKU and place whose stock the rows move."""
        yield from self.db.execute(
            "SELECT DISTINCT stock_sku, stock_place FROM rows WHERE stock_delta <> 0 "
            "ORDER BY stock_sku, stock_place"
        )

    def start_seconds(self) -> int:
        """When the first row happened."""
        return int(self.db.execute("SELECT coalesce(min(at), 0) FROM rows").fetchone()[0])

    def know(self, topic: str, entries: Iterable[tuple[str, str]]) -> None:
        """Remember what a catalogue topic has: key and event id."""
        self.db.executemany(
            "INSERT OR REPLACE INTO known VALUES (?, ?, ?)",
            ((topic, key, event_id) for key, event_id in entries),
        )

    def known_id(self, topic: str, key: str) -> str | None:
        """The id of the event that a catalogue topic has for the key."""
        found = self.db.execute(
            "SELECT event_id FROM known WHERE topic = ? AND key = ?", (topic, key)
        ).fetchone()
        return None if found is None else str(found[0])


@contextmanager
def open_spool(columns: Iterable[Column]) -> Iterator[Spool]:
    """A spool in the system's folder for temporary files; raises InventoryError if it is full."""
    with TemporaryDirectory(prefix="inventory-import-") as folder:
        db = sqlite3.connect(Path(folder) / "spool.sqlite", isolation_level=None)
        try:
            yield Spool(db, columns)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.split("_")[1] not in ("FULL", "IOERR", "CANTOPEN"):
                raise
            raise InventoryError(
                f"The import's temporary file in {folder} cannot be written: {error}.",
                remedy="Make room there, or set TMPDIR to a folder with room.",
            ) from error
        finally:
            db.close()
