"""Rows on their way into ClickHouse, and which sums they make stale. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from schemas.arrivals import Arrival
from schemas.events.positions import POSITION_PREFIX
from sinks.clickhouse.rows import (
    BY_TOPIC,
    DIM_PRODUCT,
    FACT_SALES,
    FACT_STOCK_MOVEMENTS,
    Copy,
    Row,
    Table,
)

_SALES_TIME = FACT_SALES.columns.index("occurred_at")
_MOVEMENT_TIME = FACT_STOCK_MOVEMENTS.columns.index("occurred_at")
_SUB_CATEGORY = DIM_PRODUCT.columns.index("sub_category")
_OFFSET = DIM_PRODUCT.columns.index("offset")

Key = tuple[Any, ...]


def is_copied(copy: Copy, key: bytes | None) -> bool:
    """Whether a record is data: ledgers also hold positions, and states of a SKU as a whole."""
    if not copy.topic.ledger or key is None:
        return True
    return not key.startswith(POSITION_PREFIX.encode()) and not key.endswith(b"|")


@dataclass(slots=True)
class Stale:
    """What must be summed anew: days of sales, and (months x SKUs) of movements.

    days: `2011-12-09`. months: `2011-12`.
    """

    days: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)
    skus: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.days or self.skus)

    def quarter_days(self) -> list[str]:
        """All days of the quarters that `days` lie in."""
        quarters = {(day[:4], (int(day[5:7]) - 1) // 3) for day in self.days}
        starts = [date(int(year), 3 * quarter + 1, 1) for year, quarter in sorted(quarters)]
        return [
            (start + timedelta(days=number)).isoformat()
            for start in starts
            for number in range(_next_quarter(start).toordinal() - start.toordinal())
        ]

    def add(self, other: Stale) -> None:
        self.days |= other.days
        self.months |= other.months
        self.skus |= other.skus


def _next_quarter(start: date) -> date:
    return date(start.year + start.month // 10, (start.month + 2) % 12 + 1, 1)


@dataclass(slots=True)
class Batch:
    """Rows by table. Of a current table's key only the last row counts.

    retired: key -> the deletion that came last; the row itself is in the store, or in `current`.
    """

    facts: dict[Table, list[Row]] = field(default_factory=dict)
    current: dict[Table, dict[Key, Row]] = field(default_factory=dict)
    retired: dict[Table, dict[Key, Arrival]] = field(default_factory=dict)
    stale: Stale = field(default_factory=Stale)
    records: int = 0

    def add(self, event: Any, at: Arrival) -> None:
        """Take a decoded record; None is the deletion of its key."""
        copy = BY_TOPIC[at.topic]
        table = copy.table
        self.records += 1
        if event is None:
            self.retired.setdefault(table, {})[tuple(at.key.split("|"))] = at
            return
        rows = copy.rows(event, at)
        if table.key:
            keyed = self.current.setdefault(table, {})
            for row in rows:
                key = tuple(row[: table.key])
                keyed[key] = row
                self.retired.get(table, {}).pop(key, None)
            return
        self.facts.setdefault(table, []).extend(rows)
        if table is FACT_SALES:
            self.stale.days.update(row[_SALES_TIME][:10] for row in rows)
        elif table is FACT_STOCK_MOVEMENTS and rows:
            self.stale.months.update(row[_MOVEMENT_TIME][:7] for row in rows)
            self.stale.skus.add(event.sku)

    @property
    def rows(self) -> int:
        """Facts so far."""
        return sum(map(len, self.facts.values()))

    def tables(self) -> list[tuple[Table, list[Row]]]:
        """What to insert, products first: sums of sales need their sub-category."""
        current = [(table, list(rows.values())) for table, rows in self.current.items()]
        return [(table, rows) for table, rows in [*current, *self.facts.items()] if rows]

    def products(self) -> dict[str, tuple[str, int]]:
        """SKU -> sub-category and Kafka offset of the products here."""
        return {
            row[0]: (row[_SUB_CATEGORY], row[_OFFSET])
            for row in self.current.get(DIM_PRODUCT, {}).values()
        }
