"""What a source is: its columns, how its rows are placed, and the events that they make.

Everything here and in the source modules is pure: rows in, events out.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from producers.importers.cells import Kind
from schemas.events.base import Event
from schemas.topics import Topic

Row = Mapping[str, Any]
"""A clean row by column name (texts), with its `row_no` and what `Placed` says of it."""


class Out(NamedTuple):
    """An event to publish."""

    topic: Topic
    event: Event


@dataclass(frozen=True, slots=True)
class Column:
    """A column that means something to us.

    name: ours. aliases: what else files call it, written like `order_id`: case, spaces and
        signs in headers do not matter.
    required: the header must name it. filled: a cell may not be empty.
    """

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    required: bool = True
    filled: bool = True

    @property
    def known_as(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


class Placed(NamedTuple):
    """Where the rows of a chunk belong, column by column, beside the file's own columns.

    group_key: rows with the same one are published together: an order, a product.
    at: when it happened, in seconds since 1970; groups go out in this order.
    stock_sku, stock_place, stock_delta: the stock that the row moves; 0 where it moves none.
    """

    group_key: pd.Series[str]
    at: pd.Series[int] | int = 0
    stock_sku: pd.Series[str] | str = ""
    stock_place: pd.Series[str] | str = ""
    stock_delta: pd.Series[int] | int = 0


Events = Callable[[Sequence[Row], datetime], list[Out]]
"""What the rows of a group make, given when they are imported; ids follow from the rows alone.

Raises ValueError with a reason where the rows contradict each other: the group is refused.
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """One form in which a source's files come.

    marks: headers that tell this form from the others, beside the required columns.
    """

    name: str
    columns: tuple[Column, ...]
    place: Callable[[pd.DataFrame], Placed]
    events: Events
    marks: tuple[str, ...] = ()


def _no_catalog(_db: sqlite3.Connection) -> Iterator[Out]:
    return iter(())


def _as_spooled(_db: sqlite3.Connection) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """A source by name.

    history: the rows are a past: levels are fitted, alerts rechecked at the end.
    latest_wins: the rows are a present: a file counts again once another came after it.
    catalog: products, places, customers, as far as all spooled rows of a history tell.
    resolve: corrects spooled rows by what only the whole file (or the catalogue) tells.
    """

    name: str
    what: str
    variants: tuple[Variant, ...]
    history: bool = False
    latest_wins: bool = False
    catalog: Callable[[sqlite3.Connection], Iterable[Out]] = _no_catalog
    resolve: Callable[[sqlite3.Connection], None] = _as_spooled

    def variant(self, name: str) -> Variant:
        """The variant of that name; there is one, because we wrote the name down ourselves."""
        return next(variant for variant in self.variants if variant.name == name)


def agreed(rows: Sequence[Row], names: Iterable[str]) -> Row:
    """The one content of a group's rows; raises ValueError where they differ in a column."""
    first = rows[0]
    for name in names:
        for row in rows[1:]:
            if row[name] != first[name]:
                raise ValueError(f"rows {first['row_no']} and {row['row_no']} differ in {name}")
    return first


def per_value(column: pd.Series[Any], function: Callable[[str], Any]) -> pd.Series[Any]:
    """The function of each cell, called once for each distinct text."""
    codes, values = pd.factorize(column.to_numpy(dtype=object))
    mapped = objects([function(value) for value in values])
    return pd.Series(mapped[codes], index=column.index, dtype=object)


def objects(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """An array of Python objects as they are: pandas would make Arrow strings of texts."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def slug(text: str) -> str:
    """An id out of a name: lower case, words joined by `-`; letters of all scripts stay."""
    words = re.sub(r"[\W_]+", "-", text.casefold()).strip("-")
    return words if len(words) <= 60 else f"{words[:48]}-{short_hash(words)}"


def short_hash(*parts: Any) -> str:
    """8 hex digits of the parts' SHA-256: for ids that follow from content."""
    joined = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def instant(seconds: int) -> datetime:
    """The UTC instant of a spooled `at`."""
    return datetime.fromtimestamp(seconds, UTC)


def past(at: datetime, by: str) -> dict[str, Any]:
    """What every event of a history has in common: it was known when it happened."""
    return {"occurred_at": at, "known_at": at, "backfill": True, "by": by}


@dataclass(slots=True)
class Ordinals:
    """Numbers identical lines: a row's id is a hash of its content and which repetition it is."""

    _seen: dict[str, int] = field(default_factory=dict)

    def row_id(self, *content: Any) -> str:
        hashed = hashlib.sha256("\x1f".join(map(str, content)).encode()).hexdigest()[:16]
        number = self._seen[hashed] = self._seen.get(hashed, 0) + 1
        return f"{hashed}-{number}"
