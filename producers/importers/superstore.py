"""Global Superstore: orders of a fictional office supplier, all over the world, 2011 to 2014.

Two forms are about, told apart by their header: 27 columns in UTF-8 with sales rounded to whole
dollars, and 24 columns in cp1252 with exact sales and dates as dd-mm-yyyy. They number customers
differently, so their orders are not the same orders: each belongs in a state folder of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import pandas as pd

from producers.importers import cells
from producers.importers.cells import Rule
from producers.importers.source import (
    Column,
    Out,
    Placed,
    Row,
    Source,
    Variant,
    instant,
    past,
    per_value,
    short_hash,
    slug,
)
from schemas.events.base import ShipTo
from schemas.events.catalog import Customer, Location, Product
from schemas.events.orders import OrderLine, OrderPlaced, Priority
from schemas.topics import CUSTOMERS, LOCATIONS, ORDERS, PRODUCTS

NAME = "superstore"
BY = f"import {NAME}"
CURRENCY = "USD"
_CENT_PARTS = Decimal("0.0001")


def _four_decimals(text: str) -> str:
    """Money has four decimals at most; half a unit of the last one goes to the even digit."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -4:
        return str(number.quantize(_CENT_PARTS, ROUND_HALF_EVEN))
    return text


def _no_stray_apostrophe(text: str) -> str:
    return text.removeprefix("'")


_ROUNDED = Rule("sales_rounded_to_4_decimals", _four_decimals)
_APOSTROPHE = Rule("stray_apostrophe_removed", _no_stray_apostrophe)


def _columns(day: str) -> tuple[Column, ...]:
    return (
        Column("order_id", cells.identifier(60)),
        Column("customer_id", cells.identifier(60)),
        Column("customer_name", cells.text()),
        Column("segment", cells.text()),
        Column("ordered_on", cells.time(day), ("order_date",)),
        Column("city", cells.text()),
        Column("state", cells.text().cleaned_by(_APOSTROPHE)),
        Column("country", cells.text()),
        Column("market", cells.text()),
        Column("region", cells.text()),
        Column("ship_mode", cells.text()),
        Column("priority", cells.choice(Priority), ("order_priority",)),
        Column("product_id", cells.sku()),
        Column("product_name", cells.text()),
        Column("category", cells.text()),
        Column("sub_category", cells.text()),
        Column("quantity", cells.whole(1)),
        Column("discount", cells.decimal(0, 1, 6)),
        Column("sales", cells.decimal().cleaned_by(_ROUNDED)),
    )


def place_rows(rows: pd.DataFrame) -> Placed:
    """Grouped by order id and customer: an order id alone stands for several orders here."""
    read_day = cells.time("%Y-%m-%d 0:00:00", "%d-%m-%Y").read
    return Placed(
        group_key=rows["order_id"] + "/" + rows["customer_id"],
        at=per_value(rows["ordered_on"], lambda day: int(read_day(day).timestamp())).astype(
            "int64"
        ),
        stock_sku=rows["product_id"],
        stock_place=per_value(rows["country"], slug),
        stock_delta=-rows["quantity"].astype("int64"),
    )


_SEVERAL_NAMES_SQL = """
UPDATE rows SET stock_sku = product_id || '-' || short_hash(product_name)
WHERE product_id IN (SELECT product_id FROM rows
                     GROUP BY product_id HAVING count(DISTINCT product_name) > 1)
   OR EXISTS (SELECT 1 FROM known WHERE topic = 'products'
              AND key = product_id || '-' || short_hash(product_name))
"""


def name_products(db: sqlite3.Connection) -> None:
    """One product id stands for up to four products: these SKUs end in a hash of the name."""
    db.create_function("short_hash", 1, lambda name: short_hash(name).upper(), deterministic=True)
    db.execute(_SEVERAL_NAMES_SQL)


def unit_price(sales: Decimal, quantity: int, discount: Decimal) -> Decimal:
    """The price before discount, which the files do not state: sales / quantity / (1 - discount).

    A line given away (discount 1) has no price.
    """
    if discount == 1:
        return Decimal(0)
    return (sales / quantity / (1 - discount)).quantize(_CENT_PARTS, ROUND_HALF_EVEN)


def _content(row: Row) -> tuple[str, int, Decimal, Decimal]:
    return row["stock_sku"], int(row["quantity"]), Decimal(row["sales"]), Decimal(row["discount"])


def events_of(rows: Sequence[Row], _now: datetime) -> list[Out]:
    """One order. Its lines are ordered by content, so the file's order is free."""
    first = min(rows, key=lambda row: (row["at"], row["priority"]))
    at = instant(first["at"])
    lines = []
    for line_no, content in enumerate(sorted(map(_content, rows)), start=1):
        sku, quantity, sales, discount = content
        lines.append(
            OrderLine(
                line_no=line_no,
                sku=sku,
                quantity=quantity,
                unit_price=unit_price(sales, quantity, discount),
                amount=sales,
                discount=discount,
            )
        )
    order = OrderPlaced(
        id=f"{NAME}/{first['group_key']}/placed",
        **past(at, BY),
        order_id=first["group_key"],
        channel="import",
        currency=CURRENCY,
        lines=lines,
        location_id=first["stock_place"],
        customer_id=first["customer_id"],
        ship_to=ShipTo(
            country=first["country"],
            state=first["state"],
            city=first["city"],
            market=first["market"],
            region=first["region"],
        ),
        priority=first["priority"].casefold(),
        ship_mode=first["ship_mode"],
    )
    return [Out(ORDERS, order)]


_PLACES_SQL = """
SELECT stock_place, max(country), min(at),
    CASE WHEN count(DISTINCT market) = 1 THEN max(market) END,
    CASE WHEN count(DISTINCT region) = 1 THEN max(region) END
FROM rows GROUP BY stock_place ORDER BY stock_place
"""
# Columns beside one min or max: SQLite takes them from the row that holds it.
_PRODUCTS_SQL = """
SELECT stock_sku, product_name, category, sub_category, min(at) FROM rows
GROUP BY stock_sku ORDER BY stock_sku
"""
_CUSTOMERS_SQL = """
SELECT customer_id, customer_name, segment, max(at) FROM rows
GROUP BY customer_id ORDER BY customer_id
"""


def catalog_of(db: sqlite3.Connection) -> Iterator[Out]:
    """A warehouse for each country, the products, the customers."""
    for place, country, since, market, region in db.execute(_PLACES_SQL):
        location = Location(
            id=f"{NAME}/{place}/{short_hash(country, market, region)}",
            **past(instant(since), BY),
            location_id=place,
            name=country,
            kind="warehouse",
            country=country,
            market=market,
            region=region,
        )
        yield Out(LOCATIONS, location)
    for sku, name, category, sub_category, since in db.execute(_PRODUCTS_SQL):
        product = Product(
            id=f"{NAME}/{sku}/{short_hash(name, category, sub_category)}",
            **past(instant(since), BY),
            sku=sku,
            name=name,
            category=category,
            sub_category=sub_category,
        )
        yield Out(PRODUCTS, product)
    for customer_id, name, segment, latest in db.execute(_CUSTOMERS_SQL):
        customer = Customer(
            id=f"{NAME}/{customer_id}/{short_hash(name, segment)}",
            **past(instant(latest), BY),
            customer_id=customer_id,
            name=name,
            segment=segment,
        )
        yield Out(CUSTOMERS, customer)


SOURCE = Source(
    name=NAME,
    what="orders of a fictional office supplier (Global Superstore, 27 or 24 columns)",
    variants=(
        Variant(
            "27 columns",
            _columns("%Y-%m-%d 0:00:00"),
            place_rows,
            events_of,
            marks=("market2", "weeknum"),
        ),
        Variant(
            "24 columns",
            _columns("%d-%m-%Y"),
            place_rows,
            events_of,
            marks=("row_id", "postal_code"),
        ),
    ),
    history=True,
    catalog=catalog_of,
    resolve=name_products,
)
