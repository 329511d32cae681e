"""What many records come to, before it is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.arrivals import Refused
from sinks.postgres.tables import BY_NAME, TABLES, OrderItemRow, ReservationRow


class Record(Protocol):
    """What a Kafka client hands over. timestamp: when it was recorded, epoch ms."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(slots=True)
class Batch:
    """The rows of many records, one a key.

    rows: table -> key -> row; None where the row shall go.
    items: order -> its lines, stored only if this batch brings the order first.
    reserved: order -> all its reservations, stored only with a newer state of the order.
    refused: records that become dead letters. skipped: topic -> number of records that another
        reader of the topic has refused.
    """

    rows: dict[str, dict[tuple[Any, ...], Any]] = field(
        default_factory=lambda: {table.name: {} for table in TABLES}
    )
    items: dict[str, list[OrderItemRow]] = field(default_factory=dict)
    reserved: dict[str, list[ReservationRow]] = field(default_factory=dict)
    refused: list[tuple[Record, Refused]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def put(self, table: str, row: Any) -> None:
        """A row that replaces what the batch has of its key."""
        self.rows[table][row[: BY_NAME[table].keyed]] = row

    def put_once(self, table: str, row: Any) -> None:
        """A row that stays out if the batch has its key."""
        self.rows[table].setdefault(row[: BY_NAME[table].keyed], row)

    def add_placeholders(self, known: Mapping[str, Collection[str]]) -> None:
        """Add a row for every key that rows refer to and that isn't `known` to be there."""
        groups = [(table, list(self.rows[table.name].values())) for table in reversed(TABLES)]
        groups += [(BY_NAME["order_items"], rows) for rows in self.items.values()]
        groups += [(BY_NAME["reservations"], rows) for rows in self.reserved.values()]
        for table, rows in groups:
            for column, parent in table.parent_columns:
                there = self.rows[parent]
                for key in {row[column] for row in rows if row is not None}:
                    if key is not None and key not in known[parent] and (key,) not in there:
                        there[key,] = BY_NAME[parent].row(key)
