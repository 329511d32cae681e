"""What the catalogue in PostgreSQL says of products and places; commands go on without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches

import asyncpg

from inventory.commands.items import Item
from inventory.commands.stores import named_query, postgres
from producers.pos import BasketItem
from runtime.errors import InventoryError
from runtime.settings import Settings

DEFAULT_CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class ProductCard:
    """What a till shows of a product."""

    name: str | None
    price: Decimal | None
    currency: str | None
    stocked: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """places: id -> name. ship_from: places that stock what was asked for, best first.

    reachable: PostgreSQL answered; otherwise nothing here means anything.
    """

    products: Mapping[str, ProductCard] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    ship_from: Sequence[str] = ()
    reachable: bool = False


@dataclass(frozen=True, slots=True)
class Basket:
    """Priced goods in one currency, and what had to be assumed."""

    items: list[BasketItem]
    currency: str
    notes: list[str]


async def read_catalogue(settings: Settings, skus: Iterable[str]) -> Catalogue:
    """The catalogue's words on these SKUs; an empty one where PostgreSQL does not answer."""
    wanted = sorted(set(skus))
    try:
        async with postgres(settings) as connection:
            products = await connection.fetch(named_query("postgres", "shell_products"), wanted)
            places = await connection.fetch(named_query("postgres", "shell_locations"))
            ship_from = await connection.fetch(named_query("postgres", "shell_ship_from"), wanted)
    except InventoryError:
        # Goods move whether or not somebody can be asked about them.
        return Catalogue()
    return Catalogue(
        products={row["sku"]: _card(row) for row in products},
        places={row["location_id"]: row["name"] or "" for row in places},
        ship_from=[row["location_id"] for row in ship_from],
        reachable=True,
    )


def _card(row: asyncpg.Record) -> ProductCard:
    return ProductCard(row["name"], row["price"], row["currency"], row["stocked"])


def price_basket(items: Sequence[Item], catalogue: Catalogue, currency: str | None) -> Basket:
    """Items at their own or the catalogue's price, all in one currency.

    Raises InventoryError where the catalogue's prices are in several currencies, or in another
    one than asked for.
    """
    cards = {item.sku: catalogue.products.get(item.sku) for item in items}
    found = sorted({card.currency for card in cards.values() if card and card.currency})
    if currency is None and len(found) > 1:
        raise InventoryError(
            f"The catalogue prices these products in {' and '.join(found)}.",
            remedy="Sell them apart, or say --currency and a price of each: SKU:QTY@PRICE.",
        )
    chosen = currency or (found[0] if found else DEFAULT_CURRENCY)
    basket, notes = [], []
    for item in items:
        card = cards[item.sku]
        price = item.price if item.price is not None else _list_price(item, card, chosen)
        if price is None:
            notes.append(
                f"No price of {item.sku} is known, so it counts as 0; "
                f"{item.sku}:{item.number}@3.50 would say one."
            )
        service = card is not None and not card.stocked
        basket.append(BasketItem(item.sku, item.number, price or Decimal(0), service))
    return Basket(basket, chosen, notes)


def _list_price(item: Item, card: ProductCard | None, currency: str) -> Decimal | None:
    if card is None or card.price is None:
        return None
    if card.currency != currency:
        raise InventoryError(
            f"The catalogue's price of {item.sku} is in {card.currency}, not {currency}.",
            remedy=f"Write {item.sku}:{item.number}@PRICE, or leave --currency out.",
        )
    return card.price


def unknown_places(catalogue: Catalogue, places: Iterable[str]) -> list[str]:
    """A sentence for each place that the catalogue does not know; goods move there all the same."""
    if not catalogue.reachable:
        return []
    return [
        f"Place {place!r} is unknown to the catalogue{_nearest(place, catalogue.places)}; "
        "the goods move all the same."
        for place in dict.fromkeys(places)
        if place not in catalogue.places
    ]


def _nearest(place: str, known: Mapping[str, str]) -> str:
    by_spelling = {name.casefold(): key for key, name in known.items() if name}
    by_spelling |= {key.casefold(): key for key in known}
    near = get_close_matches(place.casefold(), by_spelling, n=3, cutoff=0.6)
    names = dict.fromkeys(by_spelling[spelling] for spelling in near)
    return f" (did you mean {' or '.join(names)}?)" if names else ""


async def near_skus(settings: Settings, sku: str) -> list[str]:
    """Up to three SKUs that a mistyped one may have meant."""
    async with postgres(settings) as connection:
        rows = await connection.fetch(named_query("postgres", "shell_near_skus"), sku)
    named = [row["sku"] for row in rows if sku in (row["name"] or "").upper()]
    near = get_close_matches(sku, [row["sku"] for row in rows], n=3, cutoff=0.6)
    return list(dict.fromkeys([*near, *named]))[:3]
