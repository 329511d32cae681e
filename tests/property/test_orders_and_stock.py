"""Both folds together: whatever order, repetition or interleaving, no unit is lost or made."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.catalog import Product
from schemas.events.orders import (
    OrderCancelled,
    OrderDelivered,
    OrderExpire,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderReturned,
    OrderShipped,
    ReturnedLine,
    ShippedLine,
)
from schemas.events.stock import AdjustStock, ReceiveStock, SkuState, TransferStock
from schemas.topics import ORDERS, PRODUCTS, STOCK_COMMANDS, Topic
from tests.support.plain_orders import (
    check_end,
    check_levels,
    check_sales,
    reserved_expected,
    units_expected,
)
from tests.support.trade import Trade, at, line, web_order

SKUS = ("X", "Y")
PLACES = ("a", "b")
POSTAGE = "POST"
WASTE = Decimal("0.01")
"""The price of what comes back and cannot be sold again: tells its facts from others."""

UNITS = st.integers(1, 4)
PLACED_LINES = st.lists(
    st.tuples(st.sampled_from((*SKUS, *SKUS, POSTAGE)), UNITS), min_size=1, max_size=3
)
ALL_OR_NAMED = st.one_of(st.just([]), st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2))))
FOLLOWING = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("timer", "paid", "paid", "cancelled", "delivered", "stale"))),
        st.tuples(st.just("shipped"), ALL_OR_NAMED),
        st.tuples(st.just("returned"), st.integers(1, 3), st.integers(1, 2), st.booleans()),
    ),
    max_size=6,
)
ORDER = st.tuples(
    st.sampled_from(("web", "web", "web", "web", "pos")),
    PLACED_LINES,
    st.booleans(),
    st.permutations(PLACES),
    st.integers(1, 2),
    FOLLOWING,
)
OUTSIDE = st.one_of(
    st.tuples(
        st.just("receive"), st.sampled_from(SKUS), st.sampled_from(PLACES), st.integers(3, 15)
    ),
    st.tuples(st.just("adjust"), st.sampled_from(SKUS), st.sampled_from(PLACES), UNITS),
    st.tuples(st.just("transfer"), st.sampled_from(SKUS), st.permutations(PLACES), UNITS),
    st.tuples(st.just("product"), st.sampled_from(SKUS), st.integers(0, 2), st.integers(0, 20)),
)


def placed(number: int, what: Any) -> OrderPlaced:
    channel, lines, accept_partial, places, count, _ = what
    return OrderPlaced(
        id=f"o{number}:placed",
        occurred_at=at(number),
        order_id=f"o{number}",
        channel=channel,
        currency="EGP",
        lines=[
            OrderLine(
                line_no=line_no,
                sku=sku,
                quantity=quantity,
                unit_price=Decimal(1),
                amount=Decimal("9.99") * line_no,
                service=sku == POSTAGE,
            )
            for line_no, (sku, quantity) in enumerate(lines, start=1)
        ],
        location_id=None if channel == "web" else places[0],
        ship_from=places[:count] if channel == "web" else [],
        accept_partial=accept_partial,
        pay_by=at(number + 1800),
    )


def following(number: int, index: int, what: Any, order: OrderPlaced) -> Any:
    """An event of an order; None for a timer, which reads the order's date when it fires."""
    kind, *rest = what
    said: dict[str, Any] = {
        "id": f"o{number}:{index}",
        "occurred_at": at(number + 10 * index),
        "order_id": f"o{number}",
    }
    if kind == "shipped":
        quantities = dict(rest[0])
        lines = [ShippedLine(line_no=no, quantity=units) for no, units in quantities.items()]
        return OrderShipped(**said, lines=lines)
    if kind == "returned":
        line_no, units, restock = rest
        skus = {line.line_no: line.sku for line in order.lines if not line.service}
        line = ReturnedLine(
            line_no=line_no,
            sku=skus.get(line_no, "X"),
            quantity=units,
            unit_price=Decimal(1) if restock else WASTE,
            amount=Decimal(units),
            restock=restock,
        )
        return OrderReturned(**said, location_id="b", currency="EGP", lines=[line])
    if kind == "stale":
        return OrderExpire(**said, due_at=at(5))
    simple = {"paid": OrderPaid, "cancelled": OrderCancelled, "delivered": OrderDelivered}
    return simple[kind](**said) if kind in simple else None


def outside(index: int, what: Any) -> tuple[Topic, Any]:
    kind, sku, *rest = what
    said: dict[str, Any] = {"id": f"s{index}", "occurred_at": at(index), "sku": sku}
    if kind == "product":
        safety_stock, limit = rest
        product = Product(**said, name="X", safety_stock=safety_stock, backorder_limit=limit)
        return PRODUCTS, product
    where, units = rest
    if kind == "receive":
        return STOCK_COMMANDS, ReceiveStock(**said, location_id=where, quantity=units)
    if kind == "adjust":
        return STOCK_COMMANDS, AdjustStock(**said, location_id=where, delta=-units, reason="x")
    return STOCK_COMMANDS, TransferStock(
        **said,
        transfer_id=f"t{index}",
        from_location_id=where[0],
        to_location_id=where[1],
        quantity=units,
    )


def fire(trade: Trade, number: int, index: int) -> None:
    """The timers worker sees the order's date come, whatever it is for."""
    state = trade.orders.table.get(f"o{number}")
    if state is not None and state.due_at is not None:
        expire = OrderExpire(
            id=f"o{number}:expire:{index}",
            occurred_at=state.due_at,
            order_id=state.order_id,
            due_at=state.due_at,
        )
        trade.publish(ORDERS, expire)


def play(trade: Trade, orders: list[Any], commands: list[Any], chance: random.Random) -> None:
    """Publish everything in any order, much of it twice, while the folds read as they like."""
    todo: list[tuple[Topic, Any] | tuple[int, int]] = [
        outside(index, what) for index, what in enumerate(commands)
    ]
    for number, what in enumerate(orders):
        order = placed(number, what)
        todo.append((ORDERS, order))
        for index, follow in enumerate(what[-1], start=1):
            event = following(number, index, follow, order)
            todo.append((number, index) if event is None else (ORDERS, event))
    todo += chance.sample(todo, len(todo) // 3)
    if chance.random() < 0.5:
        chance.shuffle(todo)
    for first, second in todo:
        if isinstance(first, Topic):
            trade.publish(first, second)
        else:
            fire(trade, first, second)
        for _ in range(chance.choice((0, 1, 5, 40))):
            trade.step()
    trade.drain()


def open_with(trade: Trade, units: int, backorder_limit: int) -> None:
    """So many units of each SKU at each place, of known products."""
    for number, sku in enumerate(SKUS):
        said: dict[str, Any] = {"occurred_at": at(0), "sku": sku}
        product = Product(**said, id=f"p{number}", name=sku, backorder_limit=backorder_limit)
        trade.publish(PRODUCTS, product)
        for place in PLACES if units else ():
            receipt = ReceiveStock(
                **said, id=f"open-{sku}-{place}", location_id=place, quantity=units
            )
            trade.publish(STOCK_COMMANDS, receipt)
    trade.drain()


REASONS = {
    "already_shipped",
    "never_placed",
    "nothing_to_ship",
    "order_forgotten",
    "ships_more_than_ordered",
    "unknown_line",
}


def check(trade: Trade, orders: list[Any]) -> None:
    states = trade.states()
    check_levels(trade.facts, trade.levels())
    on_hand = units_expected(trade.applied, trade.sales, set(SKUS), WASTE)
    levels = trade.levels()
    for key in {*on_hand, *levels}:
        assert (levels[key].on_hand if key in levels else 0) == on_hand[key]
    reserved = {key: level.reserved for key, level in levels.items() if level.reserved}
    assert reserved == reserved_expected(states)
    waiting = Counter(
        (state.order_id, line.line_no)
        for state in states
        for line in state.lines
        if line.answer == "queued"
    )
    queued = Counter(
        (line.order_id, line.line_no)
        for state in trade.stock.table.values()
        if isinstance(state, SkuState)
        for line in state.queue
    )
    assert waiting == queued
    for state in states:
        check_end(state)
        number = int(state.order_id[1:])
        order = placed(number, orders[number]) if state.digest else None
        check_sales(state, order, [s for s in trade.sales if s.order_id == state.order_id])
    reasons = {refused.reason for _, refused in trade.refused}
    reasons |= {dead.refused.reason for dead in trade.orders.dead}
    assert reasons <= REASONS
    published = [out.event.id for out in trade.orders.out + trade.stock.out]
    assert len(set(published)) == len(published)


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from((0, 3, 8)),
    st.sampled_from((0, 6)),
    st.lists(ORDER, min_size=1, max_size=4),
    st.lists(OUTSIDE, max_size=8),
    st.randoms(use_true_random=False),
)
def test_no_order_repetition_or_interleaving_loses_or_makes_a_unit(
    units: int, limit: int, orders: list[Any], commands: list[Any], chance: random.Random
) -> None:
    trade = Trade(chance)
    open_with(trade, units, limit)
    play(trade, orders, commands, chance)
    check(trade, orders)


def test_ten_thousand_buyers_of_the_last_hundred_units_get_exactly_those() -> None:
    """Every other one wants the SKU in two lines, and gives the first back without the second."""
    trade = Trade(random.Random(5), careful=False)
    open_with(trade, 50, 0)
    for number in range(10_000):
        quantity = 1 + number % 3 // 2
        lines = [line(no, sku="X", quantity=quantity) for no in range(1, 2 + number % 2)]
        trade.publish(ORDERS, web_order(*lines, order_id=f"o{number}"))
        for _ in range(3):
            trade.step()
    trade.drain()
    check_levels(trade.facts, trade.levels())
    assert [trade.levels()["X", place].reserved for place in PLACES] == [50, 50]
    assert sum(reserved_expected(trade.states()).values()) == 100
    statuses = Counter(state.status for state in trade.states())
    assert set(statuses) == {"reserved", "refused"}
    for state in trade.states():
        wanted = {item.answer == "allocated" for item in state.lines}
        assert wanted == {state.status == "reserved"}
        check_end(state)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(("paid", "cancelled", "timer", "timer", "shipped")), min_size=1, max_size=6
    ),
    st.sampled_from((0, 3, 8)),
    st.randoms(use_true_random=False),
)
def test_payment_cancellation_and_time_may_race(
    kinds: list[str], units: int, chance: random.Random
) -> None:
    """Whoever wins, in the end the goods have left, are free, or wait for an order that lives."""
    trade = Trade(chance)
    open_with(trade, units, 6)
    follow = [(kind, []) if kind == "shipped" else (kind,) for kind in kinds]
    orders = [("web", [("X", 4), ("X", 2), ("Y", 3)], False, list(PLACES), 2, follow)]
    play(trade, orders, [], chance)
    check(trade, orders)
    (state,) = trade.states()
    reserved = sum(level.reserved for level in trade.levels().values())
    if state.closed_at is not None:
        assert reserved == 0
        assert not trade.stock.table["X|"].queue
    else:
        assert state.status in ("reserved", "backordered", "paid", "part_shipped")
