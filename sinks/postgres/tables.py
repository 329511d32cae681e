"""The rows of each table, and the SQL that stores many of them at once.

A row's fields are its table's columns, in order. Statements take one array a column and are safe
to repeat: facts are inserted once, everything else is replaced by newer versions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple, NewType, get_args, get_type_hints
from uuid import UUID

Json = NewType("Json", str)
"""JSON as text, for a jsonb column."""

PLACEHOLDER = -1
"""The version of a row that only says: something refers to this key."""

_SQL_TYPES = {
    str: "text",
    int: "bigint",
    float: "float8",
    bool: "boolean",
    bytes: "bytea",
    Decimal: "numeric",
    datetime: "timestamptz",
    UUID: "uuid",
    Json: "jsonb",
}


class CategoryRow(NamedTuple):
    category_id: UUID
    parent_id: UUID | None
    name: str


class PlaceRow(NamedTuple):
    place_id: UUID
    city: str | None
    state: str | None
    country: str | None
    market: str | None
    region: str | None


class SupplierRow(NamedTuple):
    supplier_id: str
    name: str | None = None
    country: str | None = None
    email: str | None = None
    lead_time_days: int | None = None
    version: int = PLACEHOLDER
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None


class ProductRow(NamedTuple):
    sku: str
    name: str | None = None
    category_id: UUID | None = None
    price: Decimal | None = None
    currency: str | None = None
    size: str | None = None
    barcode: str | None = None
    stocked: bool = True
    safety_stock: int = 0
    backorder_limit: int = 0
    supplier_id: str | None = None
    retired: bool = False
    version: int = PLACEHOLDER
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None


class LocationRow(NamedTuple):
    location_id: str
    name: str | None = None
    kind: str | None = None
    place_id: UUID | None = None
    version: int = PLACEHOLDER
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None


class CustomerRow(NamedTuple):
    customer_id: str
    name: str | None = None
    segment: str | None = None
    email: str | None = None
    street: str | None = None
    postal_code: str | None = None
    place_id: UUID | None = None
    version: int = PLACEHOLDER
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None


class OrderRow(NamedTuple):
    """Two halves from two topics: what was placed, and (from `status` on) how it stands."""

    order_id: str
    channel: str | None = None
    currency: str | None = None
    location_id: str | None = None
    customer_id: str | None = None
    ship_to_place_id: UUID | None = None
    priority: str | None = None
    ship_mode: str | None = None
    accept_partial: bool | None = None
    placed_by: str | None = None
    placed_at: datetime | None = None
    known_at: datetime | None = None
    recorded_at: datetime | None = None
    status: str | None = None
    due_at: datetime | None = None
    changed_at: datetime | None = None
    version: int = PLACEHOLDER
    cause: Json | None = None


class OrderItemRow(NamedTuple):
    order_id: str
    line_no: int
    sku: str
    quantity: int
    unit_price: Decimal
    discount: Decimal
    amount: Decimal
    service: bool


class ReservationRow(NamedTuple):
    order_id: str
    line_no: int
    location_id: str
    quantity: int


class SaleEventRow(NamedTuple):
    cause_topic: str
    cause_partition: int
    cause_offset: int
    order_id: str
    channel: str
    currency: str
    customer_id: str | None
    ship_to_place_id: UUID | None
    priority: str | None
    backfill: bool
    occurred_at: datetime
    recorded_at: datetime
    known_at: datetime


class SaleRow(NamedTuple):
    cause_topic: str
    cause_partition: int
    cause_offset: int
    line_no: int
    location_id: str
    sku: str
    quantity: int
    unit_price: Decimal
    discount: Decimal
    amount: Decimal
    unmatched: bool


class InventoryRow(NamedTuple):
    sku: str
    location_id: str
    on_hand: int
    reserved: int
    in_transit: int
    unknown_product: bool
    counted_at: datetime | None
    occurred_at: datetime
    recorded_at: datetime
    version: int
    cause: Json


class ThresholdRow(NamedTuple):
    sku: str
    location_id: str
    source: str
    raise_at: int
    clear_at: int
    order_quantity: int | None
    until: datetime | None
    set_by: str | None
    why: str
    occurred_at: datetime
    recorded_at: datetime
    version: int


class AlertRow(NamedTuple):
    sku: str
    location_id: str
    severity: str
    announced: str
    level: int | None
    alert_id: str | None
    since: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    snoozed_until: datetime | None
    due_at: datetime | None
    occurred_at: datetime
    recorded_at: datetime
    version: int
    cause: Json


class AlertChangeRow(NamedTuple):
    event_id: str
    sku: str
    location_id: str
    alert_id: str
    what: str
    old_state: str
    state: str
    level: int
    raise_at: int
    clear_at: int
    threshold_source: str
    since: datetime
    why: str
    changed_by: str | None
    version: int
    occurred_at: datetime
    recorded_at: datetime


class ImportRow(NamedTuple):
    import_id: str
    source: str
    file: str
    status: str
    rows_read: int
    published_rows: int
    quarantined_rows: int
    skipped_rows: int
    cleaned: Json
    quarantined: Json
    published: Json
    seconds: float
    problem: str | None
    occurred_at: datetime
    recorded_at: datetime
    version: int


class DeadLetterRow(NamedTuple):
    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    detail: str
    key: bytes | None
    body: bytes | None
    headers: Json
    recorded_at: datetime | None
    letter_partition: int
    letter_offset: int
    dead_at: datetime


@dataclass(frozen=True)
class Table:
    """A table, how its rows replace each other, and which others they refer to.

    keyed: how many of the first columns make the key.
    rule: `once` (facts and names: the first row of a key stays) or `newest` (a higher version
        replaces the row).
    parents: column -> the table whose key it holds.
    """

    name: str
    row: Any
    keyed: int
    rule: Literal["once", "newest"]
    parents: dict[str, str] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.row._fields)

    @cached_property
    def sql_types(self) -> tuple[str, ...]:
        hints = get_type_hints(self.row)
        return tuple(_sql_type(hints[column]) for column in self.columns)

    @cached_property
    def parent_columns(self) -> tuple[tuple[int, str], ...]:
        return tuple((self.columns.index(column), name) for column, name in self.parents.items())

    @cached_property
    def upsert(self) -> str:
        """Takes what `arrays` makes."""
        columns = [f'"{column}"' for column in self.columns]
        arrays = ", ".join(
            f"${n}::text[]::numeric[]" if sql == "numeric" else f"${n}::{sql}[]"
            for n, sql in enumerate(self.sql_types, 1)
        )
        key, rest = columns[: self.keyed], columns[self.keyed :]
        action = "DO NOTHING"
        if self.rule == "newest":
            changes = ", ".join(f"{column} = excluded.{column}" for column in rest)
            action = f"DO UPDATE SET {changes} WHERE t.version < excluded.version"
        return (
            f"INSERT INTO {self.name} AS t ({', '.join(columns)}) SELECT * FROM unnest({arrays}) "
            f"ON CONFLICT ({', '.join(key)}) {action}"
        )

    def arrays(self, rows: Mapping[tuple[Any, ...], Any]) -> list[Sequence[Any]]:
        """Rows as one array a column, in the order of their keys; money as text, which costs
        a third."""
        columns = zip(*(rows[key] for key in sorted(rows)), strict=True)
        return [
            [None if value is None else str(value) for value in column]
            if sql == "numeric"
            else column
            for column, sql in zip(columns, self.sql_types, strict=True)
        ]

    @cached_property
    def delete(self) -> str:
        """Takes one array a column of the key."""
        key = ", ".join(f'"{column}"' for column in self.columns[: self.keyed])
        arrays = ", ".join(
            f"${n}::{sql}[]" for n, sql in enumerate(self.sql_types[: self.keyed], 1)
        )
        return f"DELETE FROM {self.name} WHERE ({key}) IN (SELECT * FROM unnest({arrays}))"


def _sql_type(hint: Any) -> str:
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    return _SQL_TYPES[kinds[0]]


_PLACE = {"sku": "products", "location_id": "locations"}

# Parents before children: rows are stored in this order, in every transaction the same, so that
# two sinks never wait for each other in a circle.
TABLES = (
    Table("categories", CategoryRow, 1, "once"),
    Table("places", PlaceRow, 1, "once"),
    Table("suppliers", SupplierRow, 1, "newest"),
    Table("products", ProductRow, 1, "newest", {"supplier_id": "suppliers"}),
    Table("locations", LocationRow, 1, "newest"),
    Table("customers", CustomerRow, 1, "newest"),
    Table(
        "orders", OrderRow, 1, "newest", {"location_id": "locations", "customer_id": "customers"}
    ),
    Table("order_items", OrderItemRow, 2, "once", {"sku": "products"}),
    Table("reservations", ReservationRow, 3, "once", {"location_id": "locations"}),
    Table(
        "sale_events", SaleEventRow, 3, "once", {"order_id": "orders", "customer_id": "customers"}
    ),
    Table("sales", SaleRow, 5, "once", _PLACE),
    Table("inventory", InventoryRow, 2, "newest", _PLACE),
    Table("thresholds", ThresholdRow, 3, "newest", _PLACE),
    Table("alerts", AlertRow, 2, "newest", _PLACE),
    Table("alert_history", AlertChangeRow, 1, "once", _PLACE),
    Table("imports", ImportRow, 1, "newest"),
    Table("dead_letters", DeadLetterRow, 3, "once"),
)
BY_NAME = {table.name: table for table in TABLES}

# The two halves of an order come in any order: the first half stays once it is there, the
# second is replaced by newer versions. Answers which halves were new.
_CONTENT = OrderRow._fields[1 : OrderRow._fields.index("status")]
_STATE = OrderRow._fields[OrderRow._fields.index("status") :]
UPSERT_ORDERS = (
    BY_NAME["orders"].upsert.partition(" DO UPDATE")[0]
    + " DO UPDATE SET "
    + ", ".join(
        [f"{c} = CASE WHEN t.placed_at IS NULL THEN excluded.{c} ELSE t.{c} END" for c in _CONTENT]
        + [f"{c} = CASE WHEN t.version < excluded.version THEN excluded.{c} ELSE t.{c} END"
           for c in _STATE]
    )
    + " WHERE t.version < excluded.version"
    " OR (t.placed_at IS NULL AND excluded.placed_at IS NOT NULL)"
    " RETURNING order_id,"
    " old.placed_at IS NULL AND new.placed_at IS NOT NULL AS placed,"
    " COALESCE(old.version, -1) < new.version AS moved"
)  # fmt: skip
DELETE_RESERVATIONS = "DELETE FROM reservations WHERE order_id = ANY($1::text[])"
