"""An order is placed: a till's sale has happened, a web order asks stock for its lines."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from schemas.arrivals import Arrival, Refused
from schemas.events.orders import LineState, OrderPlaced, OrderState, SaleLine
from schemas.events.stock import SellStock
from schemas.topics import STOCK_COMMANDS
from stream_processors.engine.outcome import Out
from stream_processors.orders.early import refuse, take
from stream_processors.orders.following import FOLLOW
from stream_processors.orders.standing import settle
from stream_processors.orders.step import Step, begin, digest_of

_encode = msgspec.json.Encoder(decimal_format="string").encode


def place(old: OrderState | None, event: OrderPlaced, arrival: Arrival) -> Step:
    """A new order, then what waited for it. The same order sent again changes nothing.

    Raises Refused (`order_conflict`) where the id stands for an order with other content.
    """
    digest = digest_of(_encode(replace(event, id="", known_at=None, by=None)))
    if old is not None and old.digest:
        if old.digest != digest:
            raise Refused(
                "order_conflict",
                f"order {event.order_id} was placed before with other content, which stays",
            )
        return begin(old, event, arrival)
    step = _new(old, event, arrival, digest)
    if event.channel == "web":
        _reserve(step)
    else:
        _sell(step)
    for waited in take(step):
        try:
            FOLLOW[type(waited.event)](waited)
        except Refused as refused:
            refuse(waited, refused)
    return step


def _new(old: OrderState | None, event: OrderPlaced, arrival: Arrival, digest: str) -> Step:
    before = {} if old is None else old.cause
    state = OrderState(
        order_id=event.order_id,
        status="placed",
        version=1 if old is None else old.version + 1,
        occurred_at=event.occurred_at,
        recorded_at=arrival.recorded_at,
        digest=digest,
        channel=event.channel,
        currency=event.currency,
        location_id=event.location_id,
        ship_from=list(dict.fromkeys(event.ship_from)),
        customer_id=event.customer_id,
        ship_to=event.ship_to,
        priority=event.priority,
        accept_partial=event.accept_partial,
        placed_at=event.occurred_at,
        known_at=event.known_at,
        pay_by=event.pay_by,
        backfill=event.backfill,
        early=[] if old is None else old.early,
        seen=[] if old is None else old.seen,
        cause={**before, arrival.topic: arrival.offset},
    )
    return Step(event, arrival, state, str(state.version))


def _sell(step: Step) -> None:
    """A till's or an imported order is done as it comes: all of it left from its place."""
    event, state = step.event, step.state
    place, sold = event.location_id, []
    for line in event.lines:
        state.lines.append(
            LineState(
                line_no=line.line_no,
                sku=line.sku,
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount=line.amount,
                discount=line.discount,
                service=line.service,
                answer="sold",
                shipped=line.quantity,
            )
        )
        sold.append(
            SaleLine(
                line_no=line.line_no,
                sku=line.sku,
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount=line.amount,
                location_id=place,
                discount=line.discount,
            )
        )
        if line.service:
            continue
        command = SellStock(
            id=f"{event.order_id}/{line.line_no}/sell",
            occurred_at=event.occurred_at,
            known_at=event.known_at,
            backfill=event.backfill,
            by=event.by,
            sku=line.sku,
            order_id=event.order_id,
            line_no=line.line_no,
            quantity=line.quantity,
            location_id=place,
        )
        step.out.append(Out(STOCK_COMMANDS, command))
    step.sales(sold)
    state.status, state.closed_at = "done", event.occurred_at


def _reserve(step: Step) -> None:
    """A web order asks stock for all its lines; services need no stock."""
    for line in step.event.lines:
        state = LineState(
            line_no=line.line_no,
            sku=line.sku,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=line.amount,
            discount=line.discount,
            service=line.service,
            answer="allocated" if line.service else "open",
        )
        step.state.lines.append(state)
        if not line.service:
            step.reserve(state)
    settle(step)
