"""One record's work in progress on one order: its new state, commands, facts, dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from schemas.arrivals import Arrival
from schemas.events.base import Cause
from schemas.events.orders import LineState, OrderState, Part, SaleLine, SalesRecorded
from schemas.events.stock import OrderLineCommand, ReleaseStock, ReserveStock
from schemas.topics import SALES, STOCK_COMMANDS
from stream_processors.engine.outcome import Dead, Out, Outcome

FORGET_AFTER = timedelta(days=90)
"""A closed order keeps its lines this long; then only repetitions are recognised."""
WAIT_FOR_PLACED = timedelta(days=7)
"""Events that came before their order wait this long."""
SEEN_MAX = 60
"""Newest events of an order that are recognised when they come again."""


class Line(Protocol):
    """Whatever names a line of an order: its state, an answer about it, a return."""

    line_no: int
    sku: str


def digest_of(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


@dataclass(slots=True)
class Step:
    """What a record does to an order; nothing counts before `finish`.

    state: this step's own copy, changed as the step goes on. Its lines are shared with the state
        before and are replaced, never changed.
    stamp: makes the ids of this step's commands differ from those of every other step.
    """

    event: Any
    arrival: Arrival
    state: OrderState
    stamp: str
    out: list[Out] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)

    def is_repeated(self) -> bool:
        """Whether the event was applied before; notes it either way."""
        code = digest_of(self.event.id.encode())
        if code in self.state.seen:
            return True
        self.state.seen = [*self.state.seen, code][-SEEN_MAX:]
        return False

    def touch(self) -> None:
        """The event counts: the state says when it happened and was recorded."""
        self.state.occurred_at = self.event.occurred_at
        self.state.recorded_at = self.arrival.recorded_at

    # --- what goes out ----------------------------------------------------------------------------

    def reserve(self, line: LineState) -> None:
        """Ask for what has not left yet of a line."""
        self._command(
            ReserveStock,
            line,
            f"reserve/{self.state.attempt}",
            line.quantity - line.shipped,
            ship_from=self.state.ship_from,
            attempt=self.state.attempt,
        )

    def release(self, line: Line, parts: Iterable[Part]) -> None:
        """Give back what stands reserved at places."""
        for part in parts:
            self.command(ReleaseStock, line, "release", part.quantity, location_id=part.location_id)

    def leave_queue(self, line: LineState) -> None:
        """Wait no longer for stock, whether stock has queued the line or not answered yet."""
        self.command(ReleaseStock, line, "release", line.quantity)

    def command(
        self, model: type[OrderLineCommand], line: Line, what: str, quantity: int, **more: Any
    ) -> None:
        """Tell stock to do something that may be done to a line more than once."""
        self._command(model, line, f"{what}/{self.stamp}/{len(self.out)}", quantity, **more)

    def _command(
        self, model: type[OrderLineCommand], line: Line, what: str, quantity: int, **more: Any
    ) -> None:
        event = self.event
        command = model(
            id=f"{self.state.order_id}/{line.line_no}/{what}",
            occurred_at=event.occurred_at,
            known_at=event.known_at,
            backfill=event.backfill,
            by=event.by,
            sku=line.sku,
            order_id=self.state.order_id,
            line_no=line.line_no,
            quantity=quantity,
            **more,
        )
        self.out.append(Out(STOCK_COMMANDS, command))

    def sales(self, lines: list[SaleLine], **said: Any) -> None:
        """Record lines sold or brought back by this event.

        said: what the fact says otherwise than the order's state does.
        """
        event, arrival, state = self.event, self.arrival, self.state
        of_order = {
            "channel": state.channel,
            "currency": state.currency,
            "customer_id": state.customer_id,
            "ship_to": state.ship_to,
            "priority": state.priority,
        }
        suffix = "/unmatched" if said.get("unmatched") else ""
        fact = SalesRecorded(
            id=f"{arrival.topic}/{arrival.partition}/{arrival.offset}{suffix}",
            occurred_at=event.occurred_at,
            known_at=event.known_at,
            backfill=event.backfill,
            by=event.by,
            order_id=state.order_id,
            lines=lines,
            recorded_at=arrival.recorded_at,
            cause=Cause(topic=arrival.topic, partition=arrival.partition, offset=arrival.offset),
            **(of_order | said),
        )
        self.out.append(Out(SALES, fact))

    # --- the end of the step ----------------------------------------------------------------------

    def finish(self) -> Outcome:
        """The state with its next date, or reduced where the order closed long ago."""
        state = self.state
        state.due_at = _due_at(state)
        closed_long_ago = state.closed_at and not state.early and not state.reduced
        if closed_long_ago and state.due_at and state.due_at <= self.arrival.recorded_at:
            reduce(state)
        return Outcome({state.order_id: state}, self.out, self.dead)


def begin(old: OrderState | None, event: Any, arrival: Arrival) -> Step:
    """A step on an order as it stands, or on one that nothing is known of yet."""
    if old is None:
        state = OrderState(
            order_id=event.order_id,
            status="early",
            version=1,
            occurred_at=event.occurred_at,
            recorded_at=arrival.recorded_at,
            cause={arrival.topic: arrival.offset},
        )
    else:
        state = replace(
            old,
            version=old.version + 1,
            lines=list(old.lines),
            cause={**old.cause, arrival.topic: arrival.offset},
        )
    return Step(event, arrival, state, str(state.version))


def _due_at(state: OrderState) -> datetime | None:
    if state.early:
        return state.early[0].recorded_at + WAIT_FOR_PLACED
    if state.reduced:
        return None
    if state.closed_at is not None:
        return state.closed_at + FORGET_AFTER
    # Whoever has paid keeps the goods; whoever cancels waits only for stock's answers.
    return None if state.paid_at or state.cancel_asked else state.pay_by


def reduce(state: OrderState) -> None:
    """Keep what recognises repetitions and tells how the order ended; forget its lines."""
    state.reduced, state.due_at = True, None
    state.lines, state.early, state.ship_from = [], [], []
