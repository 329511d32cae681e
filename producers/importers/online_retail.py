"""Online Retail (UCI): one British web wholesaler, December 2010 to December 2011.

An invoice's lines are sales if the quantity is above zero and there is a price or a known
customer; invoices with C are returns; everything else that moves goods is an adjustment.
Times carry no zone in the file and are taken as UTC.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import pandas as pd

from producers.importers import cells
from producers.importers.source import (
    Column,
    Ordinals,
    Out,
    Placed,
    Row,
    Source,
    Variant,
    instant,
    past,
    per_value,
    short_hash,
)
from schemas.events.base import ORDER_LINES_MAX, ShipTo
from schemas.events.catalog import Customer, Location, Product
from schemas.events.orders import OrderLine, OrderPlaced, OrderReturned, ReturnedLine
from schemas.events.stock import AdjustStock
from schemas.topics import CUSTOMERS, LOCATIONS, ORDERS, PRODUCTS, STOCK_COMMANDS

NAME = "online-retail"
BY = f"import {NAME}"
PLACE = "uk-warehouse"
CURRENCY = "GBP"
_SERVICE = re.compile(r"POST|DOT|M|C2|D|S|B|BANK CHARGES|AMAZONFEE|CRUK|GIFT_\d{4}_\d+")
_INVOICE = cells.pattern(
    r"C?[0-9]+", "is no sale and no return, so not a stock event (A: bad debt)"
)

COLUMNS = (
    Column("invoice", _INVOICE, ("invoiceno", "invoice_no")),
    Column("sku", cells.sku(), ("stockcode", "stock_code")),
    Column("description", cells.text(), filled=False),
    Column("quantity", cells.change()),
    Column(
        "sold_at",
        cells.time("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"),
        ("invoicedate", "invoice_date"),
    ),
    Column("unit_price", cells.decimal(), ("unitprice", "price")),
    Column("customer_id", cells.identifier(), ("customerid",), filled=False),
    Column("country", cells.text()),
)


_NATURAL = [column.name for column in COLUMNS]


@lru_cache(maxsize=10_000)
def is_service(sku: str) -> bool:
    """Postage, carriage, fees, discounts, samples, vouchers: sold, never stocked."""
    return _SERVICE.fullmatch(sku) is not None


def place_rows(rows: pd.DataFrame) -> Placed:
    """Grouped by invoice; goods of sales leave, of returns come back, adjusted as they say."""
    quantity = rows["quantity"].astype("int64")
    adjusted = per_value(_kind(rows), lambda kind: kind == "adjust").astype(bool)
    stocked = ~per_value(rows["sku"], is_service).astype(bool)
    return Placed(
        group_key=rows["invoice"],
        at=per_value(rows["sold_at"], _seconds).astype("int64"),
        stock_sku=rows["sku"],
        stock_place=PLACE,
        stock_delta=quantity.where(adjusted, -quantity) * stocked,
    )


def _kind(rows: pd.DataFrame) -> pd.Series[str]:
    facts = zip(
        rows["invoice"], rows["quantity"], rows["unit_price"], rows["customer_id"], strict=True
    )
    return pd.Series([kind_of(*row) for row in facts], index=rows.index, dtype=object)


def kind_of(invoice: str, quantity: str, unit_price: str, customer_id: str) -> str:
    """What a line is: `sale`, `return` or `adjust`."""
    if invoice.startswith("C"):
        return "return"
    if not quantity.startswith("-") and (customer_id or Decimal(unit_price) > 0):
        return "sale"
    return "adjust"


_sold_at = COLUMNS[4].kind.read


def _seconds(text: str) -> int:
    at: datetime = _sold_at(text)
    return int(at.timestamp())


def events_of(rows: Sequence[Row], _now: datetime) -> list[Out]:
    """One invoice: its sales as an order, its returns as one, each adjustment by itself."""
    kinds: dict[str, list[Row]] = {"sale": [], "return": [], "adjust": []}
    for row in rows:
        kind = kind_of(row["invoice"], row["quantity"], row["unit_price"], row["customer_id"])
        kinds[kind].append(row)
    return [
        *_orders(kinds["sale"]),
        *_returns(kinds["return"]),
        *_adjustments(kinds["adjust"]),
    ]


Line = tuple[str, int, Decimal]
"""SKU, quantity, unit price."""


def _parts(rows: list[Row]) -> Iterator[tuple[str, list[tuple[int, Line]]]]:
    """Order id and numbered lines; lines are ordered by content, so the file's order is free.

    What is longer than an order may be becomes `573585`, `573585-2`, ...
    """
    lines = sorted((row["sku"], int(row["quantity"]), Decimal(row["unit_price"])) for row in rows)
    for start in range(0, len(lines), ORDER_LINES_MAX):
        order_id = rows[0]["group_key"] + (f"-{start // ORDER_LINES_MAX + 1}" if start else "")
        yield order_id, list(enumerate(lines[start : start + ORDER_LINES_MAX], start=1))


def _orders(rows: list[Row]) -> Iterator[Out]:
    for order_id, numbered in _parts(rows):
        first = min(rows, key=lambda row: row["at"])
        at = instant(first["at"])
        lines = [
            OrderLine(
                line_no=line_no,
                sku=sku,
                quantity=quantity,
                unit_price=price,
                amount=price * quantity,
                service=is_service(sku),
            )
            for line_no, (sku, quantity, price) in numbered
        ]
        yield Out(
            ORDERS,
            OrderPlaced(
                id=f"{NAME}/{order_id}/placed",
                **past(at, BY),
                order_id=order_id,
                channel="import",
                currency=CURRENCY,
                lines=lines,
                location_id=PLACE,
                customer_id=first["customer_id"] or None,
                ship_to=ShipTo(country=first["country"]),
            ),
        )


def _returns(rows: list[Row]) -> Iterator[Out]:
    for order_id, numbered in _parts(rows):
        first = min(rows, key=lambda row: row["at"])
        at = instant(first["at"])
        if any(quantity > 0 for _, (_, quantity, _) in numbered):
            raise ValueError("a C invoice takes goods back, but has a quantity above 0")
        lines = [
            ReturnedLine(
                line_no=line_no,
                sku=sku,
                quantity=-quantity,
                unit_price=price,
                amount=price * -quantity,
                service=is_service(sku),
            )
            for line_no, (sku, quantity, price) in numbered
        ]
        yield Out(
            ORDERS,
            OrderReturned(
                id=f"{NAME}/{order_id}/returned",
                **past(at, BY),
                order_id=order_id,
                channel="import",
                location_id=PLACE,
                currency=CURRENCY,
                lines=lines,
                customer_id=first["customer_id"] or None,
                ship_to=ShipTo(country=first["country"]),
            ),
        )


def _adjustments(rows: list[Row]) -> Iterator[Out]:
    ordinals = Ordinals()
    for row in rows:
        at, delta = instant(row["at"]), int(row["quantity"])
        row_id = ordinals.row_id(*(row[name] for name in ("group_key", *_NATURAL)))
        yield Out(
            STOCK_COMMANDS,
            AdjustStock(
                id=f"{NAME}/adjust/{row_id}",
                **past(at, BY),
                sku=row["sku"],
                location_id=PLACE,
                delta=delta,
                reason=row["description"] or ("write-off" if delta < 0 else "found"),
                document=row["group_key"],
            ),
        )


_CUSTOMERS_SQL = """
SELECT customer_id, country, max(at) FROM rows
WHERE customer_id <> '' GROUP BY customer_id ORDER BY customer_id
"""


def _products(db: sqlite3.Connection) -> Iterator[tuple[str, int, str, str]]:
    """SKU, first time, most frequent description of priced lines, their last price."""
    names: dict[str, Counter[str]] = {}
    prices: dict[str, str] = {}
    lines = db.execute("SELECT sku, description, unit_price FROM rows ORDER BY row_no")
    for sku, description, price in lines:
        if float(price) > 0:
            prices[sku] = price
            names.setdefault(sku, Counter())[description] += 1
    for sku, since in db.execute("SELECT sku, min(at) FROM rows GROUP BY sku ORDER BY sku"):
        found = names.get(sku, Counter())
        del found[""]
        name = min(found, key=lambda text: (-found[text], text), default="")
        yield sku, since, name, prices.get(sku, "")


def catalog_of(db: sqlite3.Connection) -> Iterator[Out]:
    """The warehouse, each code with its most frequent name and last price, known customers.

    Notes on write-offs stand in the description too; only lines with a price name a product.
    """
    start = instant(db.execute("SELECT coalesce(min(at), 0) FROM rows").fetchone()[0])
    place = Location(
        id=f"{NAME}/{PLACE}",
        **past(start, BY),
        location_id=PLACE,
        name="UK warehouse",
        kind="warehouse",
        country="United Kingdom",
    )
    yield Out(LOCATIONS, place)
    for sku, since, name, price in _products(db):
        service = is_service(sku)
        yield Out(
            PRODUCTS,
            Product(
                id=f"{NAME}/{sku}/{short_hash(name, price, service)}",
                **past(instant(since), BY),
                sku=sku,
                name=name or sku,
                price=Decimal(price) if price else None,
                currency=CURRENCY if price else None,
                stocked=not service,
            ),
        )
    for customer_id, country, latest in db.execute(_CUSTOMERS_SQL):
        yield Out(
            CUSTOMERS,
            Customer(
                id=f"{NAME}/{customer_id}/{short_hash(country)}",
                **past(instant(latest), BY),
                customer_id=customer_id,
                country=country,
            ),
        )


SOURCE = Source(
    name=NAME,
    what="sales, returns and adjustments of a web wholesaler (UCI Online Retail)",
    variants=(Variant(NAME, COLUMNS, place_rows, events_of),),
    catalog=catalog_of,
    history=True,
)
