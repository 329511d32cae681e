"""A web shop: orders that reserve, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from producers.pos import FOUR_PLACES, BasketItem, order_lines
from schemas.events.base import ShipTo
from schemas.events.orders import (
    LineState,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderReturned,
    OrderShipped,
    OrderState,
    Priority,
    ReturnedLine,
    ShippedLine,
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a customer chose besides the goods.

    ship_from: places to take stock from, in order of preference.
    accept_partial: ship what is there and drop the rest, instead of all or nothing.
    pay_within: how long the goods stand reserved without payment.
    """

    currency: str
    ship_from: Sequence[str]
    pay_within: timedelta
    ship_to: ShipTo = field(default_factory=ShipTo)
    customer_id: str | None = None
    priority: Priority | None = None
    accept_partial: bool = False


def place(
    order_id: str,
    basket: Sequence[BasketItem],
    checkout: Checkout,
    at: datetime,
    by: str | None = None,
) -> OrderPlaced:
    """A web order: the folds reserve its lines, or say what there is instead."""
    return OrderPlaced(
        id=f"{order_id}:placed",
        occurred_at=at,
        by=by,
        order_id=order_id,
        channel="web",
        currency=checkout.currency,
        lines=order_lines(basket),
        ship_from=list(checkout.ship_from),
        customer_id=checkout.customer_id,
        ship_to=checkout.ship_to,
        priority=checkout.priority,
        accept_partial=checkout.accept_partial,
        pay_by=at + checkout.pay_within,
    )


def pay(event_id: str, order_id: str, method: str | None, at: datetime, by: str) -> OrderPaid:
    return OrderPaid(id=event_id, occurred_at=at, by=by, order_id=order_id, method=method)


def ship(
    event_id: str,
    order_id: str,
    lines: Sequence[tuple[int, int]],
    tracking: str | None,
    at: datetime,
    by: str,
) -> OrderShipped:
    """Goods left: (line number, quantity) each, or all that is reserved where no line is given."""
    return OrderShipped(
        id=event_id,
        occurred_at=at,
        by=by,
        order_id=order_id,
        lines=[ShippedLine(line_no=number, quantity=quantity) for number, quantity in lines],
        tracking=tracking,
    )


def cancel(
    event_id: str, order_id: str, reason: str | None, at: datetime, by: str
) -> OrderCancelled:
    return OrderCancelled(id=event_id, occurred_at=at, by=by, order_id=order_id, reason=reason)


@dataclass(frozen=True, slots=True)
class BackItem:
    """Units that came back; unit_price: given back for each, None for what the line had cost."""

    sku: str
    quantity: int
    unit_price: Decimal | None = None


def returned_items(
    order: OrderState | None, items: Sequence[BackItem], restock: bool
) -> list[ReturnedLine]:
    """The lines of a return, each line number once: those of the order as far as it sold them.

    items: each SKU once. What the order has not sold, or where it is not known, gets line
    numbers after its own; 0 is given back where no price is said. The order fold marks it
    unmatched.
    """
    lines: list[ReturnedLine] = []
    spare = max((line.line_no for line in order.lines), default=0) if order else 0
    for item in items:
        left = item.quantity
        for line in order.lines if order else []:
            took = min(left, _can_come_back(line))
            if line.sku == item.sku and took > 0:
                lines.append(_returned_line(line, item, took, restock))
                left -= took
        if left:
            spare += 1
            price = item.unit_price or Decimal(0)
            lines.append(
                ReturnedLine(
                    line_no=spare,
                    sku=item.sku,
                    quantity=left,
                    unit_price=price,
                    amount=price * left,
                    restock=restock,
                )
            )
    return lines


def _can_come_back(line: LineState) -> int:
    """Sold and not yet returned."""
    return (line.quantity if line.answer == "sold" else line.shipped) - line.returned


def _returned_line(line: LineState, item: BackItem, units: int, restock: bool) -> ReturnedLine:
    if item.unit_price is None:
        # The line's own price, shared out by units: a discount is not given back.
        price, amount = line.unit_price, line.amount * units / line.quantity
    else:
        price, amount = item.unit_price, item.unit_price * units
    return ReturnedLine(
        line_no=line.line_no,
        sku=line.sku,
        quantity=units,
        unit_price=price,
        amount=amount.quantize(FOUR_PLACES),
        restock=restock,
        service=line.service,
    )


def take_back(
    event_id: str,
    order_id: str,
    location_id: str,
    currency: str,
    lines: Sequence[ReturnedLine],
    order: OrderState | None,
    reason: str | None,
    at: datetime,
    by: str,
) -> OrderReturned:
    """Goods came back to a place; `order`: what is known of the order they were sold with."""
    returned = OrderReturned(
        id=event_id,
        occurred_at=at,
        by=by,
        order_id=order_id,
        location_id=location_id,
        currency=currency,
        lines=list(lines),
        reason=reason,
    )
    if order is None or order.channel is None:
        return returned
    return replace(
        returned,
        channel=order.channel,
        customer_id=order.customer_id,
        ship_to=order.ship_to,
        priority=order.priority,
    )
