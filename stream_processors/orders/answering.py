"""Stock's answers to the lines of web orders."""

from __future__ import annotations

from dataclasses import replace

from schemas.arrivals import Arrival
from schemas.events.orders import LineState, OrderState, Part
from schemas.events.stock import LineAllocated, LineAnswer, LineQueued, LineRefused
from stream_processors.engine.outcome import Outcome
from stream_processors.orders.standing import settle
from stream_processors.orders.step import Step, begin


def answer(old: OrderState | None, event: LineAnswer, arrival: Arrival) -> Outcome:
    """Note the answer and draw its conclusion; give back units that nobody waits for any more."""
    step = begin(old, event, arrival)
    if old is None:
        # Someone reserved by hand for an order that isn't known: nobody would ever ship it.
        step.stamp = f"{arrival.topic}-{arrival.partition}-{arrival.offset}"
        _give_back(step)
        return Outcome(out=step.out)
    step.touch()
    index = _waiting_line(step)
    if index is None:
        _give_back(step)
    else:
        step.state.lines[index] = _answered(step, step.state.lines[index])
        settle(step)
    return step.finish()


def _waiting_line(step: Step) -> int | None:
    event = step.event
    if event.attempt != step.state.attempt:
        return None
    for index, line in enumerate(step.state.lines):
        if line.line_no == event.line_no and line.answer in ("open", "queued"):
            return index
    return None


def _give_back(step: Step) -> None:
    if isinstance(step.event, LineAllocated):
        step.release(step.event, step.event.parts)


def _answered(step: Step, line: LineState) -> LineState:
    event = step.event
    match event:
        case LineAllocated():
            parts, surplus = _split(event.parts, line.quantity - line.shipped)
            step.release(line, surplus)
            return replace(line, answer="allocated", available=None, parts=parts)
        case LineQueued():
            return replace(line, answer="queued", available=event.available)
        case LineRefused():
            return replace(line, answer="refused", available=event.available)
    raise TypeError(f"no answer: {event!r}")


def _split(parts: list[Part], needed: int) -> tuple[list[Part], list[Part]]:
    """Parts of `needed` units, and the rest: some have left before the answer came."""
    kept, surplus = [], []
    for part in parts:
        keep = min(part.quantity, needed)
        needed -= keep
        if keep:
            kept.append(replace(part, quantity=keep))
        if keep < part.quantity:
            surplus.append(replace(part, quantity=part.quantity - keep))
    return kept, surplus
