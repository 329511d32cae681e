"""Products from a file: what it says of a SKU replaces what was known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pandas as pd

from producers.importers import cells
from producers.importers.source import (
    Column,
    Out,
    Placed,
    Row,
    Source,
    Variant,
    agreed,
    short_hash,
)
from schemas.events.catalog import Product
from schemas.topics import PRODUCTS

NAME = "products"
_YES_NO = cells.yes_no()
_BARCODE = cells.pattern(r"\d{8}|\d{12,14}", "is no GTIN of 8, 12, 13 or 14 digits")

COLUMNS = (
    Column(
        "sku",
        cells.sku(),
        ("product_id", "product_code", "stock_code", "stockcode", "item_no", "article", "item"),
    ),
    Column("name", cells.text(), ("product_name", "product", "title", "description", "item_name")),
    Column("category", cells.text(), ("product_category", "department"), False, False),
    Column("sub_category", cells.text(), ("subcategory",), False, False),
    Column("price", cells.decimal(), ("unit_price", "retail_price", "list_price"), False, False),
    Column("currency", cells.currency(), ("currency_code",), False, False),
    Column("size", cells.text(), ("pack_size",), False, False),
    Column("barcode", _BARCODE, ("gtin", "ean", "upc"), False, False),
    Column("stocked", _YES_NO, (), False, False),
    Column("safety_stock", cells.whole(), ("safety",), False, False),
    Column("backorder_limit", cells.whole(), (), False, False),
    Column("supplier_id", cells.identifier(), ("supplier", "vendor_id", "vendor"), False, False),
    Column("retired", _YES_NO, ("discontinued",), False, False),
)
_NAMES = [column.name for column in COLUMNS]


def place_rows(rows: pd.DataFrame) -> Placed:
    return Placed(group_key=rows["sku"])


def events_of(rows: Sequence[Row], now: datetime) -> list[Out]:
    """One product; rows that say the same of it are one."""
    row = agreed(rows, _NAMES)
    product = Product(
        id=f"{NAME}/{row['sku']}/{short_hash(*(row[name] for name in _NAMES))}",
        occurred_at=now,
        by=f"import {NAME}",
        sku=row["sku"],
        name=row["name"],
        category=row["category"] or None,
        sub_category=row["sub_category"] or None,
        price=Decimal(row["price"]) if row["price"] else None,
        currency=row["currency"] or None,
        size=row["size"] or None,
        barcode=row["barcode"] or None,
        stocked=_YES_NO.read(row["stocked"] or "yes"),
        safety_stock=int(row["safety_stock"] or 0),
        backorder_limit=int(row["backorder_limit"] or 0),
        supplier_id=row["supplier_id"] or None,
        retired=_YES_NO.read(row["retired"] or "no"),
    )
    return [Out(PRODUCTS, product)]


SOURCE = Source(
    name=NAME,
    what="a catalogue: sku, name, and what else is known",
    variants=(Variant(NAME, COLUMNS, place_rows, events_of),),
    latest_wins=True,
)
