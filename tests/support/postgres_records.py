"""Records as a Kafka client hands them over, made of events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from runtime.codec import encode
from runtime.partitions import partition_count, partition_of
from schemas.events.base import Cause, ShipTo
from schemas.events.orders import (
    LineState,
    OrderLine,
    OrderPlaced,
    OrderState,
    Part,
    SaleLine,
    SalesRecorded,
)
from schemas.events.stock import StockLevel
from schemas.topics import TOPICS, Topic, key_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARTITIONS = {topic.name: partition_count(topic, 2, 2) for topic in TOPICS}
MILLIS = 1_772_366_400_000


@dataclass(slots=True, frozen=True)
class StoredRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = MILLIS


@dataclass(slots=True)
class Log:
    """Topics on paper: gives records their places, in the order they are added."""

    records: list[StoredRecord] = field(default_factory=list)
    _ends: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, topic: Topic, event: Any) -> StoredRecord:
        return self.add_raw(topic, key_of(topic, event).encode(), encode(event))

    def add_raw(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
        partition: int | None = None,
    ) -> StoredRecord:
        if partition is None:
            text = (key or b"").decode(errors="replace")
            partition = partition_of(text, PARTITIONS[topic.name])
        offset = self._ends[topic.name, partition]
        self._ends[topic.name, partition] += 1
        record = StoredRecord(topic.name, partition, offset, key, value, headers)
        self.records.append(record)
        return record


def placed(order_id: str, *skus: str, **others: Any) -> OrderPlaced:
    """A till's order with one line a SKU, three units of each."""
    lines = [
        OrderLine(
            line_no=number, sku=sku, quantity=3, unit_price=Decimal("2.5"), amount=Decimal("7.5")
        )
        for number, sku in enumerate(skus, 1)
    ]
    event = OrderPlaced(
        id=f"placed-{order_id}",
        order_id=order_id,
        occurred_at=AT,
        channel="pos",
        currency="EUR",
        lines=lines,
        location_id="cairo-1",
    )
    return replace(event, **others)


def order_state(
    order_id: str, version: int, status: Any = "reserved", parts: tuple[Part, ...] = ()
) -> OrderState:
    """The state of an order of one line, with these reservations."""
    line = LineState(
        line_no=1,
        sku="A",
        quantity=3,
        unit_price=Decimal("2.5"),
        amount=Decimal("7.5"),
        parts=list(parts),
    )
    return OrderState(
        order_id=order_id,
        status=status,
        version=version,
        occurred_at=AT,
        recorded_at=AT,
        lines=[line],
        cause={"orders": version},
    )


def sale(
    order_id: str, offset: int, *quantities: int, sku: str = "A", **others: Any
) -> SalesRecorded:
    """What the record at this offset of `orders` sold: one line a quantity, at 2.50 a unit."""
    lines = [
        SaleLine(
            line_no=number,
            sku=sku,
            quantity=quantity,
            unit_price=Decimal("2.5"),
            amount=Decimal("2.5") * quantity,
            location_id="cairo-1",
        )
        for number, quantity in enumerate(quantities, 1)
    ]
    event = SalesRecorded(
        id=f"sold-{order_id}-{offset}",
        order_id=order_id,
        occurred_at=AT,
        recorded_at=AT,
        channel="pos",
        currency="EUR",
        lines=lines,
        cause=Cause(topic="orders", partition=0, offset=offset),
        customer_id="c-1",
        ship_to=ShipTo(city="Cairo", country="Egypt"),
    )
    return replace(event, **others)


def level(sku: str, on_hand: int, version: int, **others: Any) -> StockLevel:
    event = StockLevel(
        sku=sku,
        location_id="cairo-1",
        on_hand=on_hand,
        version=version,
        occurred_at=AT,
        recorded_at=AT,
        cause={"stock-commands": version},
    )
    return replace(event, **others)
