"""Goods come back: always applied, and matched with what the order had sold if it is known."""

from __future__ import annotations

from dataclasses import replace

from schemas.events.base import ShipTo
from schemas.events.orders import OrderReturned, ReturnedLine, SaleLine
from schemas.events.stock import ReturnStock
from stream_processors.orders.step import Step

_NOWHERE = ShipTo()


def take_back(step: Step) -> None:
    """Restock what can be sold again, and record what was given back, with its sign.

    A line beyond what its order has sold, or of an order that isn't known, counts all the same;
    its fact says `unmatched`.
    """
    state, event = step.state, step.event
    matched: list[SaleLine] = []
    unmatched: list[SaleLine] = []
    for line in event.lines:
        if line.restock and not line.service:
            step.command(ReturnStock, line, "return", line.quantity, location_id=event.location_id)
        (matched if _match(step, line) else unmatched).append(_sale(event, line))
    said = {
        "channel": state.channel or event.channel,
        "currency": event.currency,
        "customer_id": event.customer_id or state.customer_id,
        "ship_to": event.ship_to if event.ship_to != _NOWHERE else state.ship_to,
        "priority": event.priority or state.priority,
    }
    if matched:
        step.sales(matched, **said)
    if unmatched:
        step.sales(unmatched, unmatched=True, **said)
    if not state.digest:
        state.status, state.closed_at, state.reduced = "unmatched_return", event.occurred_at, False


def _match(step: Step, line: ReturnedLine) -> bool:
    """Find the line that sold the units, and note there that they came back."""
    for index, sold in enumerate(step.state.lines):
        if sold.line_no == line.line_no:
            if sold.sku != line.sku or sold.returned + line.quantity > sold.shipped:
                return False
            step.state.lines[index] = replace(sold, returned=sold.returned + line.quantity)
            return True
    return False


def _sale(event: OrderReturned, line: ReturnedLine) -> SaleLine:
    return SaleLine(
        line_no=line.line_no,
        sku=line.sku,
        quantity=-line.quantity,
        unit_price=line.unit_price,
        amount=-line.amount,
        location_id=event.location_id,
    )
