"""From events to rows: pure functions that any repetition and any cut into batches agree on."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from schemas.arrivals import Arrival
from schemas.events import alerts, catalog, imports, orders, stock
from schemas.events.base import ShipTo
from sinks.postgres.batch import Batch
from sinks.postgres.tables import (
    AlertChangeRow,
    AlertRow,
    CategoryRow,
    CustomerRow,
    ImportRow,
    InventoryRow,
    Json,
    LocationRow,
    OrderItemRow,
    OrderRow,
    PlaceRow,
    ProductRow,
    ReservationRow,
    SaleEventRow,
    SaleRow,
    SupplierRow,
    ThresholdRow,
)

REORDER_POINT, OVERRIDE = "reorder-point", "override"
# Ids are made of names in this namespace; another one would give every place another id.
_NAMESPACE = uuid.UUID("4f0d3f86-6a0a-5b8e-9d57-30a1f2b7c1de")
_encoder = msgspec.json.Encoder()


# --- catalog --------------------------------------------------------------------------------------


def _product(batch: Batch, event: catalog.Product, at: Arrival) -> None:
    batch.put(
        "products",
        ProductRow(
            event.sku,
            event.name,
            _category(batch, event.category, event.sub_category),
            event.price,
            event.currency,
            event.size,
            event.barcode,
            event.stocked,
            event.safety_stock,
            event.backorder_limit,
            event.supplier_id,
            event.retired,
            at.offset,
            event.occurred_at,
            at.recorded_at,
        ),
    )


def _location(batch: Batch, event: catalog.Location, at: Arrival) -> None:
    place = _place(batch, event.city, event.state, event.country, event.market, event.region)
    batch.put(
        "locations",
        LocationRow(
            event.location_id,
            event.name,
            event.kind,
            place,
            at.offset,
            event.occurred_at,
            at.recorded_at,
        ),
    )


def _supplier(batch: Batch, event: catalog.Supplier, at: Arrival) -> None:
    batch.put(
        "suppliers",
        SupplierRow(
            event.supplier_id,
            event.name,
            event.country,
            event.email,
            event.lead_time_days,
            at.offset,
            event.occurred_at,
            at.recorded_at,
        ),
    )


def _customer(batch: Batch, event: catalog.Customer, at: Arrival) -> None:
    batch.put(
        "customers",
        CustomerRow(
            event.customer_id,
            event.name,
            event.segment,
            event.email,
            event.street,
            event.postal_code,
            _place(batch, event.city, event.state, event.country, None, None),
            at.offset,
            event.occurred_at,
            at.recorded_at,
        ),
    )


@lru_cache(maxsize=100_000)
def _derived_id(*parts: str | None) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, _encoder.encode(parts).decode())


def _category(batch: Batch, category: str | None, sub_category: str | None) -> uuid.UUID | None:
    """The most specific category named; those above it come to stand in the batch too."""
    names = [name for name in (category, sub_category) if name is not None]
    found = None
    for depth, name in enumerate(names, 1):
        above, found = found, _derived_id("category", *names[:depth])
        batch.put_once("categories", CategoryRow(found, above, name))
    return found


def _place(
    batch: Batch,
    city: str | None,
    state: str | None,
    country: str | None,
    market: str | None,
    region: str | None,
) -> uuid.UUID | None:
    if city is state is country is market is region is None:
        return None
    place = PlaceRow(
        _derived_id("place", city, state, country, market, region),
        city,
        state,
        country,
        market,
        region,
    )
    batch.put_once("places", place)
    return place.place_id


def _ship_to(batch: Batch, to: ShipTo) -> uuid.UUID | None:
    return _place(batch, to.city, to.state, to.country, to.market, to.region)


# --- orders and sales -----------------------------------------------------------------------------

_CONTENT_END = OrderRow._fields.index("status")


def _placed(batch: Batch, event: orders.OrderPlaced, at: Arrival) -> None:
    so_far = batch.rows["orders"].get((event.order_id,)) or OrderRow(event.order_id)
    if so_far.placed_at is not None:
        return  # the first one of an order id is the order
    content = (
        event.order_id,
        event.channel,
        event.currency,
        event.location_id,
        event.customer_id,
        _ship_to(batch, event.ship_to),
        event.priority,
        event.ship_mode,
        event.accept_partial,
        event.by,
        event.occurred_at,
        event.known_at or at.recorded_at,
        at.recorded_at,
    )
    batch.put("orders", OrderRow._make(content + so_far[_CONTENT_END:]))
    batch.items[event.order_id] = [
        OrderItemRow(
            event.order_id,
            line.line_no,
            line.sku,
            line.quantity,
            line.unit_price,
            line.discount,
            line.amount,
            line.service,
        )
        for line in event.lines
    ]


def _order_state(batch: Batch, state: orders.OrderState, _at: Arrival) -> None:
    so_far = batch.rows["orders"].get((state.order_id,)) or OrderRow(state.order_id)
    now = (state.status, state.due_at, state.recorded_at, state.version, as_json(state.cause))
    batch.put("orders", OrderRow._make(so_far[:_CONTENT_END] + now))
    batch.reserved[state.order_id] = [
        ReservationRow(state.order_id, line.line_no, part.location_id, part.quantity)
        for line in state.lines
        for part in line.parts
    ]


def _sold(batch: Batch, event: orders.SalesRecorded, _at: Arrival) -> None:
    # One return may come as two facts: lines that match what was sold, and lines that don't.
    cause = (event.cause.topic, event.cause.partition, event.cause.offset)
    batch.put_once(
        "sale_events",
        SaleEventRow(
            *cause,
            event.order_id,
            event.channel,
            event.currency,
            event.customer_id,
            _ship_to(batch, event.ship_to),
            event.priority,
            event.backfill,
            event.occurred_at,
            event.recorded_at,
            event.known_at or event.recorded_at,
        ),
    )
    for line in event.lines:
        batch.put_once(
            "sales",
            SaleRow(
                *cause,
                line.line_no,
                line.location_id,
                line.sku,
                line.quantity,
                line.unit_price,
                line.discount,
                line.amount,
                event.unmatched,
            ),
        )


# --- stock and alerts -----------------------------------------------------------------------------


def _level(batch: Batch, level: stock.StockLevel, _at: Arrival) -> None:
    batch.put(
        "inventory",
        InventoryRow(
            level.sku,
            level.location_id,
            level.on_hand,
            level.reserved,
            level.in_transit,
            level.unknown_product,
            level.counted_at,
            level.occurred_at,
            level.recorded_at,
            level.version,
            as_json(level.cause),
        ),
    )


def _reorder_point(batch: Batch, event: alerts.ReorderPoint, at: Arrival) -> None:
    batch.put(
        "thresholds",
        ThresholdRow(
            event.sku,
            event.location_id,
            REORDER_POINT,
            event.raise_at,
            event.clear_at,
            event.order_quantity,
            None,
            event.by,
            event.why,
            event.occurred_at,
            at.recorded_at,
            at.offset,
        ),
    )


def _override(batch: Batch, event: alerts.ThresholdOverride, at: Arrival) -> None:
    batch.put(
        "thresholds",
        ThresholdRow(
            event.sku,
            event.location_id,
            OVERRIDE,
            event.raise_at,
            event.clear_at,
            None,
            event.until,
            event.by,
            event.why,
            event.occurred_at,
            at.recorded_at,
            at.offset,
        ),
    )


def _alert(batch: Batch, state: alerts.AlertState, _at: Arrival) -> None:
    batch.put(
        "alerts",
        AlertRow(
            state.sku,
            state.location_id,
            state.severity,
            state.announced,
            state.level,
            state.alert_id,
            state.since,
            state.acknowledged_by,
            state.acknowledged_at,
            state.snoozed_until,
            state.due_at,
            state.occurred_at,
            state.recorded_at,
            state.version,
            as_json(state.cause),
        ),
    )


def _alert_changed(batch: Batch, event: alerts.AlertChanged, _at: Arrival) -> None:
    batch.put_once(
        "alert_history",
        AlertChangeRow(
            event.id,
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
            event.since,
            event.why,
            event.by,
            event.version,
            event.occurred_at,
            event.recorded_at,
        ),
    )


def _import(batch: Batch, event: imports.ImportProgress, at: Arrival) -> None:
    batch.put(
        "imports",
        ImportRow(
            event.import_id,
            event.source,
            event.file,
            event.status,
            event.rows_read,
            event.published_rows,
            event.quarantined_rows,
            event.skipped_rows,
            as_json(event.cleaned),
            as_json(event.quarantined),
            as_json(event.published),
            event.seconds,
            event.problem,
            event.occurred_at,
            at.recorded_at,
            at.offset,
        ),
    )


def as_json(value: Any) -> Json:
    return Json(_encoder.encode(value).decode())


HANDLERS: dict[type, Callable[[Batch, Any, Arrival], None]] = {
    catalog.Product: _product,
    catalog.Location: _location,
    catalog.Supplier: _supplier,
    catalog.Customer: _customer,
    orders.OrderPlaced: _placed,
    orders.OrderState: _order_state,
    orders.SalesRecorded: _sold,
    stock.StockLevel: _level,
    alerts.ReorderPoint: _reorder_point,
    alerts.ThresholdOverride: _override,
    alerts.AlertState: _alert,
    alerts.AlertChanged: _alert_changed,
    imports.ImportProgress: _import,
}
"""Event -> its rows. Other events of the topics read have none."""
