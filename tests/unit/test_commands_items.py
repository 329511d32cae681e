"""What people type, and the sentence for what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.commands.items import (
    Item,
    parse_changes,
    parse_counts,
    parse_id,
    parse_items,
    parse_lines,
    parse_quantities,
    parse_sku,
    parse_time,
    parse_until,
)
from runtime.errors import InventoryError
from schemas.events.base import QUANTITY_MAX

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_items_have_quantities_and_perhaps_prices() -> None:
    assert parse_items([" tea-250:4", "MUG:1@7.90", "A:B@C:2@0"]) == [
        Item("TEA-250", 4),
        Item("MUG", 1, Decimal("7.90")),
        Item("A:B@C", 2, Decimal(0)),
    ]


@given(
    sku=st.text(alphabet="ABC-:@./ 1", min_size=1, max_size=20).filter(lambda t: t == t.strip()),
    number=st.integers(1, QUANTITY_MAX),
    price=st.none() | st.decimals(0, 1000, places=2),
)
def test_whatever_the_sku_holds_the_last_colon_ends_it(
    sku: str, number: int, price: Decimal | None
) -> None:
    text = f"{sku}:{number}" + ("" if price is None else f"@{price}")
    assert parse_items([text]) == [Item(sku, number, price)]


@pytest.mark.parametrize(
    "text",
    ["TEA", "TEA:", ":4", "TEA:0", "TEA:-1", "TEA:1.5", "TEA:1_0", "TEA:1000000001", "TEA:x"],
)
def test_bad_items_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(InventoryError) as raised:
        parse_items([text])
    assert text in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize("price", ["", "x", "-1", "NaN", "Infinity", "1.23456", "1000000001"])
def test_bad_prices_are_refused(price: str) -> None:
    with pytest.raises(InventoryError, match="price"):
        parse_items([f"TEA:1@{price}"])


def test_a_sku_with_a_bar_is_refused() -> None:
    with pytest.raises(InventoryError, match="control characters"):
        parse_sku("A|B")


def test_counts_may_be_nothing_but_quantities_may_not() -> None:
    assert parse_counts(["TEA:0"]) == [Item("TEA", 0)]
    with pytest.raises(InventoryError, match="1 to"):
        parse_quantities(["TEA:0"])
    with pytest.raises(InventoryError, match="price"):
        parse_quantities(["TEA:1@2"])


def test_changes_say_their_sign() -> None:
    assert parse_changes(["TEA:+3", "MUG:-2"]) == [Item("TEA", 3), Item("MUG", -2)]
    for wrong in ("TEA:3", "TEA:+0", "TEA:-0", "TEA:+x"):
        with pytest.raises(InventoryError):
            parse_changes([wrong])


def test_lines_of_an_order() -> None:
    assert parse_lines(["2:5"]) == [(2, 5)]
    for wrong in ("2", "0:1", "1:0", "a:b", "1:-1"):
        with pytest.raises(InventoryError, match="line"):
            parse_lines([wrong])


def test_ids_of_places() -> None:
    assert parse_id("cairo-1", "place") == "cairo-1"
    for wrong in ("", "a|b", "x" * 65, "a\x1b[2J"):
        with pytest.raises(InventoryError, match="place"):
            parse_id(wrong, "place")


def test_times_that_have_passed() -> None:
    assert parse_time("20m", NOW) == NOW - timedelta(minutes=20)
    assert parse_time("2026-03-01T10:00+02:00", NOW) == datetime(2026, 3, 1, 8, tzinfo=UTC)
    for wrong in ("2026-03-01T10:00", "yesterday", "2026-03-01T13:00Z"):
        with pytest.raises(InventoryError):
            parse_time(wrong, NOW)


def test_times_to_come() -> None:
    assert parse_until("2h", NOW) == NOW + timedelta(hours=2)
    with pytest.raises(InventoryError, match="passed"):
        parse_until("2026-03-01T11:00Z", NOW)
