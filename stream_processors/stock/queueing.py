"""Reservations: who gets what is there, and the queue of those who wait for more."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events.orders import Part
from schemas.events.stock import (
    LineAllocated,
    LineQueued,
    LineRefused,
    QueuedLine,
    ReleaseStock,
    ReserveStock,
)
from stream_processors.stock.allocation import allocate
from stream_processors.stock.step import Step


def reserve(step: Step, event: ReserveStock) -> None:
    """All of the line; or a place in the queue, where the SKU's limit allows; or a refusal.

    The line joins the queue's end and is served like any other there: it never overtakes.
    """
    line = QueuedLine(
        order_id=event.order_id,
        line_no=event.line_no,
        quantity=event.quantity,
        ship_from=list(dict.fromkeys(event.ship_from)),
        attempt=event.attempt,
    )
    before = step.sku_state.queue
    waiting = _serve(step, [*before, line])
    if waiting and waiting[-1] is line:
        waiting.pop()
        held = {place for other in waiting for place in other.ship_from}
        free = sum(step.available(place) for place in line.ship_from if place not in held)
        queued = sum(other.quantity for other in waiting)
        if queued + line.quantity <= step.sku_state.backorder_limit:
            waiting.append(line)
            step.answer(LineQueued, line, available=free)
        else:
            step.answer(LineRefused, line, available=free)
    _keep(step, waiting)


def release(step: Step, event: ReleaseStock) -> None:
    """Give units back, or leave the queue; whoever waits gets what that frees."""
    if event.location_id is None:
        key = event.order_id, event.line_no
        _keep(step, [q for q in step.sku_state.queue if (q.order_id, q.line_no) != key])
    elif given := min(event.quantity, step.level(event.location_id).reserved):
        step.move(event.location_id, "release", reserved=-given)
    serve_queue(step)


def serve_queue(step: Step) -> None:
    """Give those who wait what is there now: whatever raises availability ends with this."""
    if step.sku_state.queue:
        _keep(step, _serve(step, step.sku_state.queue))


def _serve(step: Step, queue: Sequence[QueuedLine]) -> list[QueuedLine]:
    """Reserve for the lines that can have all they want; return those that still wait.

    Oldest first: a place that a waiting line names is held back from those after it.
    """
    waiting: list[QueuedLine] = []
    held: set[str] = set()
    for line in queue:
        parts = _parts_for(step, line, held)
        if parts is None:
            held.update(line.ship_from)
            waiting.append(line)
            continue
        step.order_id, step.line_no = line.order_id, line.line_no
        for part in parts:
            step.move(part.location_id, "reserve", reserved=part.quantity)
        step.answer(LineAllocated, line, parts=parts)
    return waiting


def _parts_for(step: Step, line: QueuedLine, held: set[str]) -> list[Part] | None:
    if not step.sku_state.stocked:
        return []
    free = [(place, step.available(place)) for place in line.ship_from if place not in held]
    return allocate(line.quantity, free)


def _keep(step: Step, queue: list[QueuedLine]) -> None:
    if len(queue) != len(step.sku_state.queue):
        step.keep(queue=queue)
