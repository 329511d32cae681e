"""The life of an order: placed, answered by stock, paid, shipped, delivered, or ended before."""

from __future__ import annotations

from typing import Any

from schemas.arrivals import Arrival
from schemas.events.orders import OrderExpire, OrderPlaced, OrderReturned, OrderState
from schemas.events.stock import LineAnswer
from stream_processors.engine.outcome import Get, Outcome
from stream_processors.orders import answering, early
from stream_processors.orders.ending import expire
from stream_processors.orders.following import FOLLOW
from stream_processors.orders.placing import place
from stream_processors.orders.returning import take_back
from stream_processors.orders.step import begin


def decide(get: Get, event: Any, arrival: Arrival) -> Outcome:
    """What a record on `orders` or `allocations` leads to.

    Raises Refused (`order_conflict`, `unknown_line`, `ships_more_than_ordered`,
    `nothing_to_ship`, `already_shipped`, `order_forgotten`, `too_many_early`), having changed
    nothing.
    """
    old: OrderState | None = get(event.order_id)
    if isinstance(event, LineAnswer):
        return answering.answer(old, event, arrival)
    if isinstance(event, OrderPlaced):
        return place(old, event, arrival).finish()
    if isinstance(event, OrderExpire) and (old is None or old.due_at != event.due_at):
        return Outcome()
    step = begin(old, event, arrival)
    if isinstance(event, OrderExpire):
        step.touch()
        expire(step)
    elif not step.is_repeated():
        step.touch()
        if isinstance(event, OrderReturned):
            take_back(step)
        elif step.state.digest:
            FOLLOW[type(event)](step)
        else:
            early.wait(step)
    return step.finish()
