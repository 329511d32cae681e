"""What must hold of orders and stock together, told from events and facts alone.

It adds up what came in and what went out and never asks how a fold came to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from schemas.events.orders import OrderPlaced, OrderState, SalesRecorded
from schemas.events.stock import AdjustStock, Movement, ReceiveStock, StockLevel, TransferStock

Place = tuple[str, str]
"""(SKU, place)"""

ENDED = ("cancelled", "refused", "expired", "paid_unfulfilled", "shipped", "delivered", "done")


def units_expected(
    commands: Iterable[Any], sales: Iterable[SalesRecorded], goods: set[str], waste: Decimal
) -> Counter[Place]:
    """Units of each place: in by outside commands, each id once; out and back by sales.

    waste: the unit price of returns that are not restocked.
    """
    expected: Counter[Place] = Counter()
    for command in {command.id: command for command in commands}.values():
        if isinstance(command, ReceiveStock):
            expected[command.sku, command.location_id] += command.quantity
        elif isinstance(command, AdjustStock):
            expected[command.sku, command.location_id] += command.delta
        elif isinstance(command, TransferStock):
            expected[command.sku, command.from_location_id] -= command.quantity
    for fact in sales:
        for line in fact.lines:
            if line.sku in goods and line.unit_price != waste:
                expected[line.sku, line.location_id] -= line.quantity
    return expected


def reserved_expected(states: Iterable[OrderState]) -> Counter[Place]:
    """What stands reserved by the orders' own word."""
    return Counter(
        {
            key: units
            for key, units in _sum(
                ((line.sku, part.location_id), part.quantity)
                for state in states
                for line in state.lines
                for part in line.parts
            ).items()
            if units
        }
    )


def _sum(pairs: Iterable[tuple[Place, int]]) -> Counter[Place]:
    total: Counter[Place] = Counter()
    for key, units in pairs:
        total[key] += units
    return total


def check_levels(facts: Iterable[tuple[str, Movement]], levels: dict[Place, StockLevel]) -> None:
    """Levels are the sums of their facts, in versions without gaps."""
    sums: dict[Place, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for sku, moved in facts:
        so_far = sums[sku, moved.location_id]
        so_far[0] += moved.on_hand_delta
        so_far[1] += moved.reserved_delta
        so_far[2] += moved.in_transit_delta
        so_far[3] += 1
        assert [moved.on_hand, moved.reserved, moved.in_transit, moved.version] == so_far
        assert moved.reserved >= 0
        if moved.kind == "reserve":
            assert moved.reserved <= moved.on_hand
    assert sums == {
        key: [level.on_hand, level.reserved, level.in_transit, level.version]
        for key, level in levels.items()
    }


def check_sales(
    state: OrderState, placed: OrderPlaced | None, sales: Iterable[SalesRecorded]
) -> None:
    """What was sold and given back is what the lines say, to the last unit and cent."""
    units: Counter[int] = Counter()
    back: Counter[int] = Counter()
    amounts: dict[int, Decimal] = defaultdict(Decimal)
    identities = [
        (fact.cause.topic, fact.cause.offset, line.line_no, line.location_id)
        for fact in sales
        for line in fact.lines
    ]
    assert len(set(identities)) == len(identities)
    for fact in sales:
        for line in fact.lines:
            if line.quantity > 0:
                units[line.line_no] += line.quantity
                amounts[line.line_no] += line.amount
            elif not fact.unmatched:
                back[line.line_no] -= line.quantity
    ordered = {} if placed is None else {line.line_no: line for line in placed.lines}
    for line_no, sold in units.items():
        assert sold <= ordered[line_no].quantity
        if sold == ordered[line_no].quantity:
            assert amounts[line_no] == ordered[line_no].amount
    for line_state in state.lines:
        assert line_state.shipped == units[line_state.line_no]
        assert line_state.returned == back[line_state.line_no] <= line_state.shipped


def check_end(state: OrderState) -> None:
    """Nothing is open after everything was read, and what has ended holds nothing."""
    assert all(line.answer != "open" for line in state.lines)
    for line in state.lines:
        held = sum(part.quantity for part in line.parts)
        if line.answer == "allocated" and not line.service:
            assert held == line.quantity - line.shipped
        else:
            assert held == 0
    if state.closed_at is not None:
        assert not any(line.parts for line in state.lines)
        assert all(
            line.answer not in ("queued", "allocated") or line.shipped == line.quantity
            for line in state.lines
        )
    assert (state.closed_at is not None) == (state.status in (*ENDED, "unmatched_return"))
    assert not state.cancel_asked
