"""How an order stands, as its lines say; and its end, when nothing more is to come of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from schemas.events.orders import LineState, OrderState, OrderStatus
from stream_processors.orders.step import Step

WAITING = ("open", "queued", "allocated")
"""Answers of lines whose goods are still to leave."""


def settle(step: Step) -> None:
    """Draw the conclusion from answers and shipments: what the order is now, or its end."""
    state = step.state
    if state.closed_at is not None:
        # It keeps its end until all of it has left after all.
        if all(line.shipped == line.quantity for line in state.lines):
            close(step, left(state))
    elif any(line.answer == "open" for line in state.lines):
        state.status = _live_status(state)
    elif state.cancel_asked:
        end(step, "cancelled")
    elif any(line.answer == "refused" for line in state.lines) and not _goes_on(state):
        end(step, "paid_unfulfilled" if state.paid_at else "refused")
    elif any(map(_is_waiting, state.lines)):
        state.status = _live_status(state)
    else:
        close(step, left(state))


def _goes_on(state: OrderState) -> bool:
    """Whether an order with refused lines goes on without them: some goods are left."""
    return state.accept_partial and any(
        not line.service and (line.shipped or line.answer in WAITING) for line in state.lines
    )


def _is_waiting(line: LineState) -> bool:
    return line.answer in WAITING and line.shipped < line.quantity


def _live_status(state: OrderState) -> OrderStatus:
    answers = {line.answer for line in state.lines}
    if state.status == "paid_unfulfilled":
        return "paid_unfulfilled"  # paid after a cancellation that waits for stock's answers
    if any(line.shipped for line in state.lines):
        return "part_shipped"
    if "open" in answers:
        return "placed"
    if "queued" in answers:
        return "backordered"
    return "paid" if state.paid_at else "reserved"


def left(state: OrderState) -> Literal["shipped", "delivered"]:
    """What an order is called whose goods have left."""
    return "delivered" if state.delivered_at else "shipped"


def close(step: Step, status: OrderStatus) -> None:
    """From now on nothing stands reserved for the order, and nothing is waited for."""
    step.state.status = status
    step.state.closed_at = step.event.occurred_at
    step.state.cancel_asked = False


def end(step: Step, status: Literal["cancelled", "expired", "refused", "paid_unfulfilled"]) -> None:
    """Give back all that has not left. An answer still on its way is given back when it comes."""
    state = step.state
    for index, line in enumerate(state.lines):
        if not _is_waiting(line):
            continue
        step.release(line, line.parts)
        if line.answer != "allocated":
            step.leave_queue(line)
        state.lines[index] = replace(line, answer="released", parts=[])
    close(step, _end_status(state, status))


def _end_status(state: OrderState, status: OrderStatus) -> OrderStatus:
    if all(line.shipped == line.quantity for line in state.lines):
        return left(state)
    if state.status == "paid_unfulfilled":
        return "paid_unfulfilled"  # the money came after the cancellation: people see to it
    if status == "cancelled" and any(line.shipped for line in state.lines):
        return left(state)
    return status
