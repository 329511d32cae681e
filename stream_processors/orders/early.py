"""Events that came before their order: they wait for it in the state, but not for ever."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.arrivals import Arrival, Refused
from schemas.events.orders import EarlyEvent, OrderState
from schemas.topics import ORDERS
from stream_processors.engine.outcome import Dead
from stream_processors.orders.step import Step, digest_of

EARLY_MAX = 20


def wait(step: Step) -> None:
    """Keep the event until the order is placed. Raises Refused (`too_many_early`)."""
    state, arrival = step.state, step.arrival
    if len(state.early) == EARLY_MAX:
        raise Refused(
            "too_many_early",
            f"order {state.order_id} is not placed, and {EARLY_MAX} events wait for it already",
        )
    waiting = EarlyEvent(
        recorded_at=arrival.recorded_at,
        partition=arrival.partition,
        offset=arrival.offset,
        **{step.event.type: step.event},
    )
    state.early = [*state.early, waiting]
    state.reduced = False


def take(step: Step) -> Iterator[Step]:
    """The events that waited, oldest first, each as a step on the same order."""
    waited, step.state.early = step.state.early, []
    for early in waited:
        arrival = _arrival(step.state, early)
        yield Step(early.event, arrival, step.state, step.stamp, step.out, step.dead)


def give_up(step: Step) -> None:
    """The order was never placed: what waited becomes dead letters."""
    for waited in take(step):
        refuse(
            waited,
            Refused("never_placed", f"order {step.state.order_id} was not placed within 7 days"),
        )


def refuse(waited: Step, refused: Refused) -> None:
    """An event that waited becomes a dead letter; sent again, it is not taken for repeated."""
    waited.dead.append(Dead(waited.arrival, waited.event, refused))
    code = digest_of(waited.event.id.encode())
    waited.state.seen = [seen for seen in waited.state.seen if seen != code]


def _arrival(state: OrderState, early: EarlyEvent) -> Arrival:
    return Arrival(
        ORDERS.name, early.partition, early.offset, early.recorded_at, key=state.order_id
    )
