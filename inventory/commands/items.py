"""What people type: items, changes, times and spans, each with a sentence for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from runtime.errors import InventoryError
from schemas.events.base import QUANTITY_MAX, canonical_sku

_ITEM = re.compile(r"^(?P<sku>.+):(?P<number>[^:@]*)(?:@(?P<price>[^:@]*))?$")
_SPAN = re.compile(r"^(\d{1,6})([smhd])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PRICE_MAX = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Item:
    """`SKU:NUMBER[@PRICE]`: the number is a quantity, a counted level or a signed change."""

    sku: str
    number: int
    price: Decimal | None = None


def parse_items(texts: Iterable[str], *, least: int = 1) -> list[Item]:
    """Items of a sale, an order, a receipt: SKU:QTY or SKU:QTY@PRICE."""
    return [_parse(text, "TEA-250:4 or TEA-250:4@3.50", least) for text in texts]


def parse_counts(texts: Iterable[str]) -> list[Item]:
    """What was counted: SKU:QTY, where QTY may be 0."""
    return [_unpriced(_parse(text, "TEA-250:12", 0), text) for text in texts]


def parse_quantities(texts: Iterable[str]) -> list[Item]:
    """Items that move without a price: SKU:QTY."""
    return [_unpriced(_parse(text, "TEA-250:12", 1), text) for text in texts]


def parse_changes(texts: Iterable[str]) -> list[Item]:
    """Changes with their sign: SKU:+3 or SKU:-3."""
    items = []
    for text in texts:
        number = text.rpartition(":")[2]
        if not number.startswith(("+", "-")):
            raise InventoryError(
                f"{text!r} has no sign, so it could mean a count as well as a change.",
                remedy="Write TEA-250:+3 for goods found, TEA-250:-3 for goods gone; "
                "'inventory stock count' takes what is there.",
            )
        item = _unpriced(_parse(text, "TEA-250:+3 or TEA-250:-3", -QUANTITY_MAX), text)
        if item.number == 0:
            raise InventoryError(f"{text!r} changes nothing.", remedy="Leave it out.")
        items.append(item)
    return items


def parse_lines(texts: Iterable[str]) -> list[tuple[int, int]]:
    """Lines of an order with quantities: N:QTY, as `order show` numbers them."""
    lines = []
    for text in texts:
        number, _, quantity = text.partition(":")
        if not (number.isdecimal() and quantity.isdecimal() and int(number) and int(quantity)):
            raise InventoryError(
                f"{text!r} is no line of an order.",
                remedy="Write --line 2:5 for five units of line 2; "
                "'inventory order show ORDER' numbers the lines.",
            )
        lines.append((int(number), int(quantity)))
    return lines


def parse_sku(text: str) -> str:
    """A SKU in its one spelling."""
    try:
        return canonical_sku(text)
    except ValueError as error:
        raise InventoryError(
            f"{text!r} is no SKU: {error}.", remedy="Check the spelling."
        ) from None


def parse_id(text: str, what: str, longest: int = 64) -> str:
    """The id of a place, an order, a transfer. `what` names it for the error."""
    if not 1 <= len(text) <= longest or "|" in text or not text.isprintable():
        raise InventoryError(
            f"{text!r} is no {what}: an id has 1 to {longest} characters and no '|'.",
            remedy="Check the spelling.",
        )
    return text


def parse_time(text: str, now: datetime) -> datetime:
    """An instant that has passed: ISO 8601 with its zone, or a span ago like `20m`."""
    if span := _SPAN.match(text):
        return now - _seconds(span)
    at = _instant(text)
    if at > now:
        raise InventoryError(f"{text} lies in the future.", remedy="Give a time that has passed.")
    return at


def parse_until(text: str, now: datetime) -> datetime:
    """An instant to come: a span from now like `2h`, or ISO 8601 with its zone."""
    if span := _SPAN.match(text):
        return now + _seconds(span)
    at = _instant(text)
    if at <= now:
        raise InventoryError(f"{text} has passed.", remedy="Give a time to come, like 2h.")
    return at


def _seconds(span: re.Match[str]) -> timedelta:
    return timedelta(seconds=int(span[1]) * _SECONDS[span[2]])


def _instant(text: str) -> datetime:
    remedy = (
        "Write a span like 20m, 2h or 1d, or an instant with its zone: "
        "2026-03-01T10:00Z or 2026-03-01T10:00+02:00."
    )
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InventoryError(f"{text!r} is no time.", remedy=remedy) from None
    if at.tzinfo is None:
        raise InventoryError(f"{text!r} names no zone.", remedy=remedy)
    return at.astimezone(UTC)


def _parse(text: str, example: str, least: int) -> Item:
    match = _ITEM.match(text)
    if match is None:
        raise InventoryError(f"{text!r} is no item.", remedy=f"Write it as {example}.")
    sku = parse_sku(match["sku"])
    try:
        number = int(match["number"])
    except ValueError:
        number = least - 1
    if not least <= number <= QUANTITY_MAX or "_" in match["number"]:
        raise InventoryError(
            f"{text!r}: the quantity is a whole number from {least:,} to {QUANTITY_MAX:,}.",
            remedy=f"Write it as {example}.",
        )
    price = None if match["price"] is None else _price(match["price"], text)
    return Item(sku, number, price)


def _price(text: str, item: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 <= price <= PRICE_MAX or -price.as_tuple().exponent > 4:  # type: ignore[operator]
        raise InventoryError(
            f"{item!r}: the price is an amount like 3.50, with at most four decimals.",
            remedy="Write it as TEA-250:4@3.50, or leave it out for the catalogue's price.",
        )
    return price


def _unpriced(item: Item, text: str) -> Item:
    if item.price is not None:
        raise InventoryError(
            f"{text!r} has a price, which counts for nothing here.",
            remedy=f"Write it as {item.sku}:{item.number}.",
        )
    return item
