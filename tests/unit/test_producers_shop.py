"""Orders as tills and shops publish them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.pos import BasketItem, sale
from producers.shop import BackItem, Checkout, cancel, pay, place, returned_items, ship, take_back
from runtime.codec import decode, encode
from schemas.events.base import ShipTo
from schemas.events.orders import LineState, OrderEvent, OrderState
from schemas.topics import ORDERS, key_of

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
BASKET = [BasketItem("TEA", 4, Decimal("3.50")), BasketItem("POST", 1, Decimal(2), service=True)]


def read_back(event: OrderEvent) -> OrderEvent:
    """What the order fold will see of it."""
    decoded: OrderEvent = decode(ORDERS, key_of(ORDERS, event).encode(), encode(event))
    return decoded


def order_state(**fields: object) -> OrderState:
    common = {"order_id": "o1", "status": "shipped", "version": 3}
    return OrderState(**{**common, "occurred_at": AT, "recorded_at": AT, **fields})  # type: ignore[arg-type]


def line(number: int, sku: str, quantity: int, **fields: object) -> LineState:
    price = {"unit_price": Decimal(3), "amount": Decimal(3) * quantity}
    known = {"line_no": number, "sku": sku, "quantity": quantity}
    return LineState(**{**known, **price, **fields})  # type: ignore[arg-type]


def test_a_sale_is_one_order_of_its_till() -> None:
    event = sale("o1", "cairo-1", BASKET, "GBP", AT, "ali")
    assert read_back(event) == event
    assert (event.channel, event.location_id, event.by) == ("pos", "cairo-1", "ali")
    assert [(one.line_no, one.amount, one.service) for one in event.lines] == [
        (1, Decimal("14.00"), False),
        (2, Decimal(2), True),
    ]


def test_the_same_sale_rung_up_again_has_the_same_ids() -> None:
    first = sale("o1", "cairo-1", BASKET, "GBP", AT)
    assert sale("o1", "cairo-1", BASKET, "GBP", AT) == first


def test_prices_that_are_equal_make_equal_orders() -> None:
    two, same = (
        encode(sale("o1", "a", [BasketItem("TEA", 1, Decimal(text))], "GBP", AT))
        for text in ("2", "2.00")
    )
    assert two == same


def test_a_web_order_says_where_from_and_until_when() -> None:
    checkout = Checkout(
        currency="EUR",
        ship_from=["a", "b"],
        pay_within=timedelta(minutes=30),
        ship_to=ShipTo(country="Egypt"),
        customer_id="c1",
        priority="high",
        accept_partial=True,
    )
    event = place("o1", BASKET, checkout, AT)
    assert read_back(event) == event
    assert event.ship_from == ["a", "b"]
    assert event.pay_by == AT + timedelta(minutes=30)
    assert (event.channel, event.accept_partial, event.priority) == ("web", True, "high")


@pytest.mark.parametrize(
    "event",
    [
        pay("e1", "o1", "card", AT, "ali"),
        ship("e1", "o1", [(1, 2)], "T1", AT, "ali"),
        ship("e1", "o1", [], None, AT, "ali"),
        cancel("e1", "o1", "called us", AT, "ali"),
    ],
)
def test_what_becomes_of_an_order_is_readable(event: OrderEvent) -> None:
    assert read_back(event) == event


def test_a_return_takes_the_price_of_the_line() -> None:
    order = order_state(
        lines=[line(1, "TEA", 3, unit_price=Decimal(5), amount=Decimal(12), answer="sold")]
    )
    (back,) = returned_items(order, [BackItem("TEA", 1)], restock=True)
    assert (back.line_no, back.unit_price, back.amount) == (1, Decimal(5), Decimal(4))


def test_a_return_carries_what_is_known_of_its_order() -> None:
    order = order_state(
        channel="web", customer_id="c1", ship_to=ShipTo(city="Giza"), lines=[line(1, "TEA", 1)]
    )
    lines = returned_items(order, [BackItem("TEA", 1)], restock=False)
    event = take_back("e1", "o1", "cairo-1", "EUR", lines, order, "broken", AT, "ali")
    assert read_back(event) == event
    assert (event.channel, event.customer_id, event.ship_to.city) == ("web", "c1", "Giza")
    assert not event.lines[0].restock


def test_a_return_of_an_unknown_order_needs_a_price_only_to_give_money_back() -> None:
    lines = returned_items(None, [BackItem("TEA", 2, Decimal(3)), BackItem("CUP", 1)], True)
    assert [(one.line_no, one.sku, one.amount) for one in lines] == [
        (1, "TEA", Decimal(6)),
        (2, "CUP", Decimal(0)),
    ]


ORDERED = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
    max_size=4,
)
CAME_BACK = st.lists(
    st.builds(BackItem, st.sampled_from("ABC"), st.integers(1, 12)),
    unique_by=lambda item: item.sku,
)


@given(ordered=ORDERED, came_back=CAME_BACK)
def test_every_unit_that_came_back_is_on_exactly_one_line(
    ordered: list[tuple[str, int, int, int]], came_back: list[BackItem]
) -> None:
    order = order_state(
        lines=[
            line(n, sku, quantity, shipped=min(shipped, quantity), returned=min(back, shipped))
            for n, (sku, quantity, shipped, back) in enumerate(ordered, start=1)
        ]
    )
    lines = returned_items(order, came_back, restock=True)
    assert len({one.line_no for one in lines}) == len(lines)
    for sku in "ABC":
        units = sum(item.quantity for item in came_back if item.sku == sku)
        assert sum(one.quantity for one in lines if one.sku == sku) == units
    for known in order.lines:
        back = sum(one.quantity for one in lines if one.line_no == known.line_no)
        assert known.returned + back <= max(known.shipped, known.returned)
        assert all(one.sku == known.sku for one in lines if one.line_no == known.line_no)
