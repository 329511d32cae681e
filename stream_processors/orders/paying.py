"""Payment keeps the goods; where they are gone already, people must see to it."""

from __future__ import annotations

from dataclasses import replace

from stream_processors.orders.standing import settle
from stream_processors.orders.step import Step

_ENDED = ("cancelled", "refused", "expired")


def pay(step: Step) -> None:
    """The customer has paid. An order pays once; more money changes nothing here."""
    state = step.state
    if state.paid_at is not None:
        return
    state.paid_at = step.event.occurred_at
    if state.status == "expired" and not state.reduced:
        _reserve_again(step)
    elif state.status in _ENDED or state.cancel_asked:
        state.status = "paid_unfulfilled"
    elif state.closed_at is None:
        settle(step)


def _reserve_again(step: Step) -> None:
    """The goods went back when the order expired: ask for them once more."""
    state = step.state
    state.closed_at = None
    state.attempt += 1
    for index, line in enumerate(state.lines):
        if line.answer != "released" or line.shipped == line.quantity:
            continue
        state.lines[index] = replace(line, answer="allocated" if line.service else "open")
        if not line.service:
            step.reserve(line)
    settle(step)
