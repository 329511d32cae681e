"""What each command does to stock. The last unit is decided by the order of a SKU's log.

What came from outside has happened: goods received, sent, written off or counted are applied
even where the product is unknown or a service. What orders ask moves nothing for services.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from schemas.arrivals import Arrival
from schemas.events.catalog import Product
from schemas.events.stock import (
    AdjustStock,
    CountStock,
    ReceiveStock,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    SellStock,
    ShipStock,
    TransferStock,
)
from schemas.topics import PRODUCTS
from stream_processors.engine.outcome import Get, Outcome
from stream_processors.stock.counting import count
from stream_processors.stock.queueing import release, reserve, serve_queue
from stream_processors.stock.repeats import is_repeated
from stream_processors.stock.step import Step


def decide(get: Get, event: Any, arrival: Arrival) -> Outcome:
    """What a record on `stock-commands` or `products` leads to.

    event: a command, a Product, or None where the product named by the record's key is deleted.
    Raises Refused (`count_too_old`, `count_in_future`), having changed nothing.
    """
    if arrival.topic == PRODUCTS.name:
        step = Step(get, arrival.key, event, arrival)
        _product(step, event)
        return step.outcome()
    step = Step(get, event.sku, event, arrival)
    from_order = _FROM_ORDERS.get(type(event))
    if from_order is not None:
        step.order_id, step.line_no = event.order_id, event.line_no
        from_order(step, event)
    elif not is_repeated(step, event.id):
        step.document, step.reason = event.document, event.reason
        _FROM_OUTSIDE[type(event)](step, event)
        step.document = step.reason = None
        serve_queue(step)
    return step.outcome()


def _product(step: Step, product: Product | None) -> None:
    """Take over what stock needs to know; less safety stock may serve the queue."""
    step.sku_state = replace(
        step.sku_state,
        known=product is not None,
        stocked=product is None or product.stocked,
        safety_stock=product.safety_stock if product else 0,
        backorder_limit=product.backorder_limit if product else 0,
    )
    step.keep()
    serve_queue(step)


# --- from outside ---------------------------------------------------------------------------------


def _receive(step: Step, event: ReceiveStock) -> None:
    place, quantity = event.location_id, event.quantity
    if event.transfer_id is None:
        step.move(place, "receive", on_hand=quantity)
        return
    expected = step.level(place).in_transit
    step.move(
        place,
        "receive",
        on_hand=quantity,
        in_transit=-min(quantity, expected),
        flags=("transfer_excess",) if quantity > expected else (),
    )


def _transfer(step: Step, event: TransferStock) -> None:
    step.move(event.from_location_id, "transfer_out", on_hand=-event.quantity)
    step.move(event.to_location_id, "transfer_in", in_transit=event.quantity)


def _adjust(step: Step, event: AdjustStock) -> None:
    step.move(event.location_id, "adjust", on_hand=event.delta)


# --- from orders ----------------------------------------------------------------------------------


def _sell(step: Step, event: SellStock) -> None:
    if step.sku_state.stocked:
        step.move(event.location_id, "sell", on_hand=-event.quantity)


def _ship(step: Step, event: ShipStock) -> None:
    """Units leave; what stood reserved for them is free, even where it's a service by now."""
    on_hand = -event.quantity if step.sku_state.stocked else 0
    freed = min(event.reserved, step.level(event.location_id).reserved)
    if on_hand or freed:
        step.move(event.location_id, "ship", on_hand=on_hand, reserved=-freed)
        serve_queue(step)


def _return(step: Step, event: ReturnStock) -> None:
    if step.sku_state.stocked:
        step.move(event.location_id, "return", on_hand=event.quantity)
        serve_queue(step)


_FROM_ORDERS: dict[type, Callable[[Step, Any], None]] = {
    SellStock: _sell,
    ReserveStock: reserve,
    ReleaseStock: release,
    ShipStock: _ship,
    ReturnStock: _return,
}
_FROM_OUTSIDE: dict[type, Callable[[Step, Any], None]] = {
    ReceiveStock: _receive,
    TransferStock: _transfer,
    AdjustStock: _adjust,
    CountStock: count,
}
