"""From a record to rows of ClickHouse: pure, so that copying a record again gives the same rows.

A row is a list in the order of its table's columns, as JSON will carry it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas import topics
from schemas.arrivals import Arrival
from schemas.events.alerts import AlertChanged
from schemas.events.base import Event
from schemas.events.catalog import Customer, Location, Product, Supplier
from schemas.events.orders import SalesRecorded
from schemas.events.stock import SkuState, StockLevel, StockMoved

Row = list[Any]


def instant(at: datetime) -> str:
    """A time as ClickHouse reads it fastest: UTC, to the millisecond, the rest cut off."""
    return at.astimezone(UTC).isoformat(" ", "milliseconds")[:23]


@dataclass(frozen=True, slots=True)
class Table:
    """key: how many of the first columns are the identity of what a current table's row is about;
    0 for facts, where every row stays.
    """

    name: str
    columns: tuple[str, ...]
    key: int = 0


_TIMES = ("occurred_at", "recorded_at", "known_at")
_ORIGIN = ("topic", "partition", "offset")
# fmt: off
FACT_SALES = Table("fact_sales", (
    "order_id", "line_no", "channel", *_TIMES, "location_id", "ship_to_country", "ship_to_state",
    "ship_to_city", "market", "region", "customer_id", "order_priority", "sku", "quantity",
    "unit_price", "discount", "amount", "currency", "unmatched", *_ORIGIN, "line",
))
FACT_STOCK_MOVEMENTS = Table("fact_stock_movements", (
    "sku", "location_id", "kind", "on_hand_delta", "reserved_delta", "in_transit_delta",
    "on_hand", "reserved", "in_transit", "version", *_TIMES, "command_id", "command_partition",
    "command_offset", "order_id", "line_no", "document", "reason", "by", "backfill", "flags",
    *_ORIGIN, "line",
))
FACT_ALERTS = Table("fact_alerts", (
    "sku", "location_id", "alert_id", "what", "old_state", "state", "level", "raise_at",
    "clear_at", "threshold_source", "since", "why", "version", "by", *_TIMES, *_ORIGIN,
))
STOCK_LEVELS = Table("stock_levels_current", (
    "sku", "location_id", "on_hand", "reserved", "in_transit", "version", "counted_at",
    "unknown_product", "cause", "retired", *_TIMES, *_ORIGIN,
), key=2)
DIM_PRODUCT = Table("dim_product", (
    "sku", "name", "category", "sub_category", "price", "currency", "size", "barcode", "stocked",
    "safety_stock", "backorder_limit", "supplier_id", "retired", *_TIMES, *_ORIGIN,
), key=1)
DIM_LOCATION = Table("dim_location", (
    "location_id", "name", "kind", "city", "state", "country", "market", "region", "retired",
    *_TIMES, *_ORIGIN,
), key=1)
DIM_CUSTOMER = Table("dim_customer", (
    "customer_id", "segment", "country", "retired", *_TIMES, *_ORIGIN,
), key=1)
DIM_SUPPLIER = Table("dim_supplier", (
    "supplier_id", "name", "country", "lead_time_days", "retired", *_TIMES, *_ORIGIN,
), key=1)
# fmt: on


def sales_rows(event: SalesRecorded, at: Arrival) -> list[Row]:
    """One row a sold (positive) or returned (negative) line."""
    ship_to = event.ship_to
    times = _fact_times(event, event.recorded_at)
    return [
        [
            event.order_id,
            line.line_no,
            event.channel,
            *times,
            line.location_id,
            ship_to.country or "",
            ship_to.state or "",
            ship_to.city or "",
            ship_to.market or "",
            ship_to.region or "",
            event.customer_id or "",
            event.priority or "",
            line.sku,
            line.quantity,
            line.unit_price,
            line.discount,
            line.amount,
            event.currency,
            event.unmatched,
            at.topic,
            at.partition,
            at.offset,
            number,
        ]
        for number, line in enumerate(event.lines)
    ]


def movement_rows(event: StockMoved, at: Arrival) -> list[Row]:
    """One row a movement, in the order of their decision."""
    return [
        [
            event.sku,
            moved.location_id,
            moved.kind,
            moved.on_hand_delta,
            moved.reserved_delta,
            moved.in_transit_delta,
            moved.on_hand,
            moved.reserved,
            moved.in_transit,
            moved.version,
            instant(moved.occurred_at),
            instant(moved.recorded_at),
            instant(moved.known_at),
            moved.command_id,
            moved.partition,
            moved.offset,
            moved.order_id or "",
            moved.line_no or 0,
            moved.document or "",
            moved.reason or "",
            moved.by or "",
            moved.backfill,
            moved.flags,
            at.topic,
            at.partition,
            at.offset,
            number,
        ]
        for number, moved in enumerate(event.movements)
    ]


def alert_rows(event: AlertChanged, at: Arrival) -> list[Row]:
    """One row a transition of an alert."""
    return [
        [
            event.sku,
            event.location_id,
            event.alert_id,
            event.what,
            event.old_state,
            event.state,
            event.level,
            event.raise_at,
            event.clear_at,
            event.threshold_source,
            instant(event.since),
            event.why,
            event.version,
            event.by or "",
            *_fact_times(event, event.recorded_at),
            at.topic,
            at.partition,
            at.offset,
        ]
    ]


def level_rows(state: StockLevel | SkuState, at: Arrival) -> list[Row]:
    """What is at a place now. What belongs to a SKU as a whole has no row."""
    if isinstance(state, SkuState):
        return []
    recorded_at = instant(state.recorded_at)
    return [
        [
            state.sku,
            state.location_id,
            state.on_hand,
            state.reserved,
            state.in_transit,
            state.version,
            instant(state.counted_at) if state.counted_at else None,
            state.unknown_product,
            state.cause,
            False,
            instant(state.occurred_at),
            recorded_at,
            recorded_at,
            at.topic,
            at.partition,
            at.offset,
        ]
    ]


def product_rows(event: Product, at: Arrival) -> list[Row]:
    return [
        [
            event.sku,
            event.name,
            event.category or "",
            event.sub_category or "",
            event.price,
            event.currency or "",
            event.size or "",
            event.barcode or "",
            event.stocked,
            event.safety_stock,
            event.backorder_limit,
            event.supplier_id or "",
            event.retired,
            *_current(event, at),
        ]
    ]


def location_rows(event: Location, at: Arrival) -> list[Row]:
    return [
        [
            event.location_id,
            event.name,
            event.kind,
            event.city or "",
            event.state or "",
            event.country or "",
            event.market or "",
            event.region or "",
            False,
            *_current(event, at),
        ]
    ]


def customer_rows(event: Customer, at: Arrival) -> list[Row]:
    """Nothing personal: who they are stays in the topic and in PostgreSQL."""
    return [
        [event.customer_id, event.segment or "", event.country or "", False, *_current(event, at)]
    ]


def supplier_rows(event: Supplier, at: Arrival) -> list[Row]:
    return [
        [
            event.supplier_id,
            event.name,
            event.country or "",
            event.lead_time_days,
            False,
            *_current(event, at),
        ]
    ]


def _fact_times(event: Event, recorded_at: datetime) -> tuple[str, str, str]:
    """When it happened, when it was recorded, and when it was known: recorded unless stated."""
    return (
        instant(event.occurred_at),
        instant(recorded_at),
        instant(event.known_at or recorded_at),
    )


def _current(event: Event, at: Arrival) -> tuple[str, str, str, str, int, int]:
    return (*_fact_times(event, at.recorded_at), at.topic, at.partition, at.offset)


@dataclass(frozen=True, slots=True)
class Copy:
    """Where a topic's records go, and how a record becomes rows."""

    topic: topics.Topic
    table: Table
    rows: Callable[[Any, Arrival], list[Row]]


COPIES = (
    Copy(topics.SALES, FACT_SALES, sales_rows),
    Copy(topics.STOCK_MOVEMENTS, FACT_STOCK_MOVEMENTS, movement_rows),
    Copy(topics.LOW_STOCK_ALERTS, FACT_ALERTS, alert_rows),
    Copy(topics.STOCK_LEVELS, STOCK_LEVELS, level_rows),
    Copy(topics.PRODUCTS, DIM_PRODUCT, product_rows),
    Copy(topics.LOCATIONS, DIM_LOCATION, location_rows),
    Copy(topics.CUSTOMERS, DIM_CUSTOMER, customer_rows),
    Copy(topics.SUPPLIERS, DIM_SUPPLIER, supplier_rows),
)
BY_TOPIC = {copy.topic.name: copy for copy in COPIES}
