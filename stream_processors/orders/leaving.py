"""Goods leave: what is shipped is sold then, from the places where it stood reserved."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal

from schemas.arrivals import Refused
from schemas.events.orders import LineState, OrderShipped, OrderState, Part, SaleLine
from schemas.events.stock import ShipStock
from stream_processors.orders.standing import left, settle
from stream_processors.orders.step import Step

_FOUR_PLACES = Decimal("0.0001")
# Amounts have 18 digits and quantities 10: the product is exact.
_EXACT = Context(prec=40)
_GONE_ALL_THE_SAME = ("cancelled", "expired", "refused", "paid_unfulfilled")


def ship(step: Step) -> None:
    """Goods left, of the lines named or else all that is reserved; services with the first.

    What has left has left: after the order's end, before stock's answer or beyond what stood
    reserved, the units come from the first place of `ship_from`.
    Raises Refused (`unknown_line`, `ships_more_than_ordered`, `nothing_to_ship`,
    `order_forgotten`).
    """
    state = step.state
    quantities = _quantities(state, step.event)
    if state.delivered_at and state.delivered_at < step.event.occurred_at:
        state.delivered_at = None  # that was an earlier shipment
    sold: list[SaleLine] = []
    for index, line in enumerate(state.lines):
        if quantity := quantities.get(line.line_no, 0):
            state.lines[index] = _ship_line(step, line, quantity, sold)
    step.sales(sold)
    settle(step)


def deliver(step: Step) -> None:
    """The goods are with the customer. Come before the shipment, it is kept for it."""
    state = step.state
    state.delivered_at = max(state.delivered_at or step.event.occurred_at, step.event.occurred_at)
    if state.status in ("shipped", "done"):
        state.status = left(state)


def _quantities(state: OrderState, event: OrderShipped) -> dict[int, int]:
    """Line number -> units that leave."""
    if state.reduced:
        raise Refused(
            "order_forgotten",
            f"order {state.order_id} closed more than 90 days ago; adjust the stock instead",
        )
    lines = {line.line_no: line for line in state.lines}
    named = {shipped.line_no: shipped.quantity for shipped in event.lines}
    for line_no, quantity in named.items():
        line = lines.get(line_no)
        if line is None:
            raise Refused("unknown_line", f"order {state.order_id} has no line {line_no}", "lines")
        if line.shipped + quantity > line.quantity:
            raise Refused(
                "ships_more_than_ordered",
                f"order {state.order_id}, line {line_no}: {line.shipped} of {line.quantity} have "
                f"left, so {quantity} more is too many",
                "lines",
            )
    quantities = named or {line.line_no: line.quantity - line.shipped for line in _all_left(state)}
    if not quantities:
        raise Refused("nothing_to_ship", f"order {state.order_id} has nothing left to ship")
    services = [line for line in state.lines if line.service and line.shipped < line.quantity]
    return quantities | {line.line_no: line.quantity - line.shipped for line in services}


def _all_left(state: OrderState) -> list[LineState]:
    """What "all" means where no line is named: what is reserved; else what waits for stock.

    Of an order that ended without leaving, all that was given back, else what was refused.
    Services are no reason to leave goods out that stock has not answered for.
    """
    groups = [("allocated",), ("open", "queued")]
    if state.status in _GONE_ALL_THE_SAME:
        groups += [("released",), ("refused",)]
    remaining = [line for line in state.lines if line.shipped < line.quantity]
    goods = [line for line in remaining if not line.service]
    for lines in (goods, remaining):
        for answers in groups:
            if found := [line for line in lines if line.answer in answers]:
                return found
    return []


def _ship_line(step: Step, line: LineState, quantity: int, sold: list[SaleLine]) -> LineState:
    """Take units from the line's places in order, beyond them from the first place."""
    parts: list[Part] = []
    places: dict[str, list[int]] = {}
    wanted = quantity
    for part in line.parts:
        taken = min(part.quantity, wanted)
        wanted -= taken
        if taken:
            places[part.location_id] = [taken, taken]
        if taken < part.quantity:
            parts.append(replace(part, quantity=part.quantity - taken))
    if wanted:
        first = step.state.ship_from[0]
        units, reserved = places.get(first, [0, 0])
        places[first] = [units + wanted, reserved]
    shipped = line.shipped
    for place, (units, reserved) in places.items():
        if not line.service:
            step.command(ShipStock, line, "ship", units, location_id=place, reserved=reserved)
        sold.append(_sale(line, place, shipped, units))
        shipped += units
    after = replace(line, parts=parts, shipped=shipped)
    if shipped == line.quantity and line.answer in ("open", "queued"):
        # It needs no more stock: an allocation still on its way is given back.
        step.leave_queue(line)
        after.answer = "released"
    return after


def _sale(line: LineState, place: str, shipped: int, units: int) -> SaleLine:
    return SaleLine(
        line_no=line.line_no,
        sku=line.sku,
        quantity=units,
        unit_price=line.unit_price,
        amount=_amount_of(line, shipped + units) - _amount_of(line, shipped),
        location_id=place,
        discount=line.discount,
    )


def _amount_of(line: LineState, units: int) -> Decimal:
    """What the line's first units cost: all shipments of a line add up to its amount."""
    share = _EXACT.divide(_EXACT.multiply(line.amount, units), Decimal(line.quantity))
    return share.quantize(_FOUR_PLACES, context=_EXACT)
