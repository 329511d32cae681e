"""Events of orders at work: published, waited for, and told in words or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inventory.commands.effects import IN_WORK, SOURCE, Complete, Effect, carry_out_order
from inventory.commands.items import Item
from inventory.commands.order_texts import order_facts, print_order
from inventory.commands.printing import print_json, say
from runtime.own_writes import write_of
from runtime.settings import Settings
from schemas.events.orders import OrderEvent, OrderState
from schemas.events.stock import Movement, MovementKind
from schemas.topics import ORDERS


async def carry_out_event(
    settings: Settings,
    event: OrderEvent,
    items: Sequence[Item],
    complete: Complete,
    wait: float,
    before: OrderState | None = None,
) -> Effect:
    """Publish an order's event; items: whose stock it may move."""
    write = write_of(ORDERS, event, SOURCE)
    skus = [item.sku for item in items]
    return await carry_out_order(settings, write, skus, complete, wait, before)


def applied(_order: OrderState, _movements: Sequence[Movement]) -> bool:
    """Done as soon as the order fold has taken it: stock does not move."""
    return True


def answered(order: OrderState, movements: Sequence[Movement]) -> bool:
    """Stock has answered every line, and what it reserved is on its way to PostgreSQL."""
    if order.status == "placed" or any(line.answer == "open" for line in order.lines):
        return False
    return moved("reserve", reserved(order))(order, movements)


def reserved(order: OrderState | None) -> set[int]:
    """The lines that hold stock now."""
    return {line.line_no for line in order.lines if line.parts} if order else set()


def moved(kind: MovementKind, lines: set[int]) -> Complete:
    """All these lines have moved stock in this way."""

    def complete(_order: OrderState, movements: Sequence[Movement]) -> bool:
        return lines <= {one.line_no for one in movements if one.kind == kind}

    return complete


def report(order_id: str, effect: Effect, *, as_json: bool) -> None:
    """What came of it: the order, and the levels that it changed."""
    state = effect.states.get(order_id)
    levels = {(sku, last.location_id): last for sku, last in effect.movements}
    if as_json:
        print_json(
            {
                "order_id": order_id,
                "in_work": not effect.done,
                "repeated": effect.repeated,
                "order": None if state is None else order_facts(state),
                "levels": [_level(sku, last) for (sku, _), last in levels.items()],
            }
        )
        return
    if effect.repeated:
        say(f"Order {order_id}: known already, nothing changed.")
        return
    if state is None:
        say(f"Order {order_id}.")
    else:
        print_order(state)
    for (sku, place), last in levels.items():
        oversold = ": oversold, somebody should look" if last.on_hand < 0 else ""
        say(f"{sku} at {place}: {last.on_hand} on hand, {last.reserved} reserved{oversold}.")
    if not effect.done:
        say(IN_WORK)


def _level(sku: str, last: Movement) -> dict[str, Any]:
    return {
        "sku": sku,
        "location_id": last.location_id,
        "on_hand": last.on_hand,
        "reserved": last.reserved,
        "oversold": last.on_hand < 0,
    }
