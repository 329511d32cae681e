"""Prices and places: what the catalogue says, and what is assumed without it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from inventory.commands.catalogue import Catalogue, ProductCard, price_basket, unknown_places
from inventory.commands.items import Item
from producers.pos import BasketItem
from runtime.errors import InventoryError

CATALOGUE = Catalogue(
    products={
        "TEA": ProductCard("Tea", Decimal("3.50"), "GBP", True),
        "POST": ProductCard("Postage", Decimal(2), "GBP", False),
        "CUP": ProductCard("Cup", Decimal(1), "EUR", True),
        "BAG": ProductCard("Bag", None, None, True),
    },
    places={"cairo-1": "Cairo Downtown", "giza-2": ""},
    reachable=True,
)


def test_the_catalogues_price_and_currency_count() -> None:
    basket = price_basket([Item("TEA", 2), Item("POST", 1)], CATALOGUE, None)
    assert basket.currency == "GBP"
    assert basket.items == [
        BasketItem("TEA", 2, Decimal("3.50")),
        BasketItem("POST", 1, Decimal(2), service=True),
    ]
    assert not basket.notes


def test_a_stated_price_wins() -> None:
    basket = price_basket([Item("TEA", 2, Decimal(3))], CATALOGUE, "USD")
    assert (basket.items[0].unit_price, basket.currency) == (Decimal(3), "USD")


def test_a_price_of_zero_is_a_price() -> None:
    assert not price_basket([Item("TEA", 1, Decimal(0))], CATALOGUE, None).notes


def test_an_unknown_price_counts_as_zero_and_is_said() -> None:
    basket = price_basket([Item("BAG", 1), Item("NEW", 1)], Catalogue(), None)
    assert [item.unit_price for item in basket.items] == [0, 0]
    assert basket.currency == "EUR"
    assert [note.split()[3] for note in basket.notes] == ["BAG", "NEW"]


def test_prices_in_two_currencies_are_never_mixed() -> None:
    with pytest.raises(InventoryError, match="EUR and GBP"):
        price_basket([Item("TEA", 1), Item("CUP", 1)], CATALOGUE, None)
    with pytest.raises(InventoryError, match="GBP, not EUR"):
        price_basket([Item("TEA", 1)], CATALOGUE, "EUR")


def test_unknown_places_are_said_with_the_nearest_names() -> None:
    (misspelt, strange) = unknown_places(CATALOGUE, ["Cairo-l", "cairo-1", "mars", "Cairo-l"])
    assert "did you mean cairo-1" in misspelt
    assert "mars" in strange
    assert "did you mean" not in strange


def test_places_are_not_judged_without_a_catalogue() -> None:
    assert unknown_places(Catalogue(), ["mars"]) == []
