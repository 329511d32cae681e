"""The end of orders by the customer's will, or by time."""

from __future__ import annotations

from schemas.arrivals import Refused
from stream_processors.orders.early import give_up
from stream_processors.orders.standing import end, left
from stream_processors.orders.step import Step, reduce


def cancel(step: Step) -> None:
    """Give back what has not left; an order that waits for stock's answers ends after them.

    Raises Refused (`already_shipped`) where all of it has left.
    """
    state = step.state
    if state.status in ("shipped", "delivered", "done"):
        raise Refused(
            "already_shipped",
            f"order {state.order_id} has left already; goods that come back are a return",
        )
    if state.closed_at is not None:
        if state.status in ("expired", "paid_unfulfilled"):
            some_left = any(line.shipped for line in state.lines)
            state.status = left(state) if some_left else "cancelled"
    elif any(line.answer == "open" for line in state.lines):
        state.cancel_asked = True
        if state.status == "paid_unfulfilled":
            state.status = "placed"  # cancelled again after it was paid: people saw to it
    else:
        end(step, "cancelled")


def expire(step: Step) -> None:
    """The date in the state has come: for `placed`, for payment, or for forgetting the lines."""
    state = step.state
    if state.early:
        give_up(step)
        state.reduced = state.closed_at is None
    elif state.closed_at is not None:
        reduce(state)
    else:
        end(step, "expired")
