"""Orders in words, and when an order's event has had all its effect."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from inventory.commands.order_texts import STATUS_TEXTS, line_text, print_order
from inventory.commands.order_work import answered, moved
from schemas.events.orders import LineState, OrderState, OrderStatus, Part
from schemas.events.stock import Movement

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def line(**fields: object) -> LineState:
    common = {"line_no": 1, "sku": "TEA", "quantity": 4, "unit_price": Decimal(2)}
    return LineState(**{**common, "amount": Decimal(8), **fields})  # type: ignore[arg-type]


def order(status: OrderStatus, *lines: LineState) -> OrderState:
    return OrderState(
        order_id="o1",
        status=status,
        version=1,
        occurred_at=AT,
        recorded_at=AT,
        currency="EUR",
        lines=list(lines),
    )


def movement(kind: str, line_no: int) -> Movement:
    numbers = dict.fromkeys(
        ("on_hand_delta", "reserved_delta", "in_transit_delta", "on_hand", "reserved"), 1
    )
    times = dict.fromkeys(("occurred_at", "recorded_at", "known_at"), AT)
    where = {"in_transit": 0, "version": 1, "partition": 0, "offset": 1, "command_id": "c"}
    return Movement(  # type: ignore[call-arg]
        location_id="a",
        kind=kind,  # type: ignore[arg-type]
        line_no=line_no,
        **numbers,
        **times,  # type: ignore[arg-type]
        **where,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (line(), "no answer yet"),
        (
            line(answer="allocated", parts=[Part(location_id="a", quantity=3),
                                            Part(location_id="b", quantity=1)]),
            "reserved at a (3), b (1)",
        ),
        (line(answer="queued", available=1), "queued (1 available)"),
        (line(answer="refused", available=2), "refused (2 available)"),
        (line(answer="released"), "given back"),
        (line(answer="sold", returned=1), "sold, returned 1"),
        (line(answer="allocated", shipped=4), "shipped 4"),
        (line(answer="allocated"), "allocated"),
    ],
)  # fmt: skip
def test_a_line_says_what_has_become_of_it(state: LineState, text: str) -> None:
    assert line_text(state) == text


def test_an_order_says_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_order(order("refused", line(answer="refused", available=2)))
    out = capsys.readouterr().out
    for text in ("o1", "not enough stock", "TEA", "refused (2 available)", "amount EUR", "8"):
        assert text in out


def test_every_status_has_words() -> None:
    assert set(STATUS_TEXTS) == set(OrderStatus.__args__)  # type: ignore[attr-defined]


def test_an_order_is_answered_when_every_line_is() -> None:
    part = Part(location_id="a", quantity=4)
    here = line(answer="allocated", parts=[part])
    assert not answered(order("placed", line()), [])
    assert not answered(order("backordered", here, line(line_no=2)), [movement("reserve", 1)])
    assert not answered(order("reserved", here), [])
    assert answered(order("reserved", here), [movement("reserve", 1)])
    assert answered(order("refused", line(answer="refused", available=0)), [])


def test_movements_of_another_kind_do_not_count() -> None:
    sold = moved("sell", {1, 2})
    assert not sold(order("done"), [movement("sell", 1), movement("reserve", 2)])
    assert sold(order("done"), [movement("sell", 1), movement("sell", 2)])
