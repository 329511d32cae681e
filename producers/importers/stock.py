"""Counted stock from a file: so many are there now.

A row is a count, not a receipt: whatever was believed before, afterwards the counted number is
on hand. The same file counts once; counting anew with the same numbers takes another `document`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from producers.importers import cells
from producers.importers.locations import LOCATION_ID_MAX
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
from schemas.events.stock import CountStock
from schemas.topics import STOCK_COMMANDS

NAME = "stock"

COLUMNS = (
    Column(
        "sku",
        cells.sku(),
        ("product_id", "product_code", "stock_code", "stockcode", "item_no", "article", "item"),
    ),
    Column(
        "location_id",
        cells.identifier(LOCATION_ID_MAX),
        ("location", "store_id", "warehouse_id", "location_code", "store", "warehouse"),
    ),
    Column(
        "quantity",
        cells.whole(),
        ("counted", "on_hand", "onhand", "qty", "stock", "count", "units", "stock_level"),
    ),
    Column("document", cells.text(), ("count_id", "reference"), False, False),
)
_NAMES = [column.name for column in COLUMNS]


def place_rows(rows: pd.DataFrame) -> Placed:
    return Placed(group_key=rows["sku"] + "|" + rows["location_id"])


def events_of(rows: Sequence[Row], now: datetime) -> list[Out]:
    """One count of a SKU at a place; rows with different numbers contradict each other."""
    row = agreed(rows, _NAMES)
    content = short_hash(*(row[name] for name in _NAMES))
    count = CountStock(
        id=f"{NAME}/{row['sku']}/{row['location_id']}/{content}",
        occurred_at=now,
        by=f"import {NAME}",
        sku=row["sku"],
        location_id=row["location_id"],
        counted=int(row["quantity"]),
        document=row["document"] or None,
        reason="counted, from a file",
    )
    return [Out(STOCK_COMMANDS, count)]


SOURCE = Source(
    name=NAME,
    what="counted stock: sku, location_id, quantity (that many are there now)",
    variants=(Variant(NAME, COLUMNS, place_rows, events_of),),
)
