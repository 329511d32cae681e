"""Carry out what a command asks: publish it, wait until it shows, and tell what came of it."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from inventory.commands.stores import named_query, postgres
from runtime.errors import InventoryError
from runtime.own_writes import LEDGER_OF, WAIT_SECONDS, Facts, OwnWrites, Write, own_writes
from runtime.settings import Settings
from schemas.events.orders import OrderState
from schemas.events.stock import Movement
from schemas.topics import ORDER_STATES, STOCK_LEVELS

SOURCE = "/shell"
POLL_SECONDS = 0.02
IN_WORK = "Received, in work: the effect was not seen yet; it comes by itself."

Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for the effect.", show_default=True)
]
WAIT = WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Effect:
    """What was seen within the wait.

    states: ledger key -> state. movements: (SKU, movement) of the order.
    done: everything is through, so whoever looks now sees it.
    repeated: the fold had taken it before and dropped it.
    """

    states: dict[str, Any] = field(default_factory=dict)
    movements: list[tuple[str, Movement]] = field(default_factory=list)
    done: bool = False
    repeated: bool = False


Complete = Callable[[OrderState, Sequence[Movement]], bool]
"""Has all come that an order's event leads to?"""


async def carry_out(settings: Settings, writes: Sequence[Write], wait: float) -> Effect:
    """Publish and wait until folds and PostgreSQL show it. Raises InventoryError if refused."""
    async with own_writes(settings, SOURCE, wait) as own:
        await own.publish(writes)
        done = await own.applied()
        states = {
            key: state
            for write in writes
            for key in write.states
            if (state := own.state(LEDGER_OF[write.topic.name], key)) is not None
        }
        awaited = [
            (LEDGER_OF[write.topic.name].name, key, states[key].version)
            for write in writes
            for key in write.states
            if key in states and hasattr(states[key], "version")
        ]
        if done and states:
            done = await shown(settings, own, awaited)
        return Effect(states, done=done, repeated=done and not states)


async def carry_out_order(
    settings: Settings,
    write: Write,
    skus: Sequence[str],
    complete: Complete,
    wait: float,
    before: OrderState | None = None,
) -> Effect:
    """The same for an event of an order, whose effect on stock comes in a second step.

    before: the order as it was, where it was known; it tells a repetition.
    """
    order_id = write.key
    async with own_writes(settings, SOURCE, wait) as own:
        await own.publish([write], Facts(order_id, skus))
        done = await own.applied()
        state = own.state(ORDER_STATES, order_id)
        # Only an event that counts changes when the state was recorded.
        same = before is not None and state is not None and state.recorded_at == before.recorded_at
        if done and (state is None or same):
            return Effect(done=True, repeated=True)

        def through() -> bool:
            now = own.state(ORDER_STATES, order_id)
            return now is not None and complete(now, [moved for _, moved in own.movements])

        done = done and await own.until(through)
        state = own.state(ORDER_STATES, order_id)
        if done:
            levels = {(sku, moved.location_id): moved.version for sku, moved in own.movements}
            awaited = [(ORDER_STATES.name, order_id, state.version)]
            awaited += [(STOCK_LEVELS.name, f"{k[0]}|{k[1]}", v) for k, v in levels.items()]
            done = await shown(settings, own, awaited)
        states = {} if state is None else {order_id: state}
        return Effect(states, own.movements, done=done)


async def shown(
    settings: Settings, own: OwnWrites, awaited: Sequence[tuple[str, str, int]]
) -> bool:
    """Wait until PostgreSQL holds these (ledger, key, version), where it can be asked at all."""
    if not settings.postgres.get_secret_value() or not awaited:
        return True
    ledgers = [ledger for ledger, _, _ in awaited]
    parts = [key.partition("|") for _, key, _ in awaited]
    arguments = (
        ledgers,
        [part[0] for part in parts],
        [part[2] for part in parts],
        [version for _, _, version in awaited],
    )
    sql = named_query("postgres", "shell_not_yet_shown")
    try:
        async with postgres(settings) as connection:
            while await connection.fetchval(sql, *arguments):
                if own.seconds_left <= 0:
                    return False
                await asyncio.sleep(POLL_SECONDS)
    except InventoryError:
        # The folds have it; a store that is away catches up by itself.
        return False
    return True


def whoami() -> str:
    """Who gives this command, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "shell"
