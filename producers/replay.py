"""Trades on with a recorded day: its invoices become a till's sales of today."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from producers.importers.online_retail import CURRENCY, PLACE, is_service, kind_of
from producers.pos import BasketItem, sale
from schemas.events.base import canonical_sku
from schemas.events.orders import OrderPlaced
from schemas.events.stock import ReceiveStock

# How much of a day's demand a delivery brings, SKU by SKU in turn: some last, some run out.
DELIVERY_SHARES = (Decimal("0.8"), Decimal(2), Decimal(3), Decimal(4), Decimal(5))
# Of products that nobody will ask for: comfortably above any alert.
DELIVERY_OF_OTHERS = 30


@dataclass(frozen=True, slots=True)
class Invoice:
    """What one customer took at once."""

    number: str
    basket: tuple[BasketItem, ...]


def read_day(path: Path) -> list[Invoice]:
    """The sales of a recorded day (Online Retail's columns), in the order of the file."""
    baskets: dict[str, list[BasketItem]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number, price = row["InvoiceNo"], row["UnitPrice"]
            if kind_of(number, row["Quantity"], price, row["CustomerID"]) == "sale":
                sku = canonical_sku(row["StockCode"])
                item = BasketItem(sku, int(row["Quantity"]), Decimal(price), is_service(sku))
                baskets[number].append(item)
    return [Invoice(number, tuple(basket)) for number, basket in baskets.items()]


def delivery(
    day: Sequence[Invoice], others: Iterable[Invoice], run: str, at: datetime
) -> Iterator[ReceiveStock]:
    """What a lorry brings in the morning: a share of the day's demand, and some of the rest.

    others: invoices of other days, whose products get the same small amount each.
    run: makes ids unique, so each run of a demo has a delivery of its own.
    """
    demand: Counter[str] = Counter()
    for item in _goods(day):
        demand[item.sku] += item.quantity
    brought = dict.fromkeys((item.sku for item in _goods(others)), DELIVERY_OF_OTHERS)
    for number, (sku, quantity) in enumerate(sorted(demand.items())):
        share = DELIVERY_SHARES[number % len(DELIVERY_SHARES)]
        brought[sku] = int(quantity * share) + DELIVERY_OF_OTHERS // 2
    for sku, quantity in sorted(brought.items()):
        yield ReceiveStock(
            id=f"demo/{run}/delivery/{sku}",
            occurred_at=at,
            by="demo",
            sku=sku,
            location_id=PLACE,
            quantity=quantity,
            document=f"demo delivery {run}",
        )


def sale_today(invoice: Invoice, run: str, at: datetime) -> OrderPlaced:
    """The invoice as a sale that happens now."""
    return sale(f"demo-{run}-{invoice.number}", PLACE, invoice.basket, CURRENCY, at, "demo")


def _goods(day: Iterable[Invoice]) -> Iterator[BasketItem]:
    return (item for invoice in day for item in invoice.basket if not item.service)
