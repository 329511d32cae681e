"""Suppliers from a list of them, or out of a list of deliveries or purchase orders.

A delivery names the supplier and the country that ordered, not the supplier's own, so deliveries
give names only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

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
    per_value,
    short_hash,
    slug,
)
from schemas.events.catalog import Supplier
from schemas.topics import SUPPLIERS

NAME = "suppliers"
_SUPPLIER = Column(
    "name", cells.text(), ("supplier_name", "supplier", "vendor_name", "vendor", "company")
)

COLUMNS = (
    Column("supplier_id", cells.identifier(), ("vendor_id", "supplier_code"), False, False),
    _SUPPLIER,
    Column("country", cells.text(), ("supplier_country", "vendor_country"), False, False),
    Column("email", cells.text(), ("e_mail", "mail"), False, False),
    Column("lead_time_days", cells.whole(0, 3650), ("lead_time", "lead_days"), False, False),
)
_NAMES = [column.name for column in COLUMNS]


def place_rows(rows: pd.DataFrame) -> Placed:
    """By id; a supplier without one is known by its name."""
    ids = rows["supplier_id"]
    return Placed(group_key=ids.where(ids != "", per_value(rows["name"], slug)))


def place_deliveries(rows: pd.DataFrame) -> Placed:
    return Placed(group_key=per_value(rows["name"], slug))


def events_of(rows: Sequence[Row], now: datetime) -> list[Out]:
    """One supplier of a list."""
    row = agreed(rows, _NAMES)
    supplier = Supplier(
        id=f"{NAME}/{row['group_key']}/{short_hash(*(row[name] for name in _NAMES))}",
        occurred_at=now,
        by=f"import {NAME}",
        supplier_id=row["supplier_id"] or slug(row["name"]),
        name=row["name"],
        country=row["country"] or None,
        email=row["email"] or None,
        lead_time_days=int(row["lead_time_days"]) if row["lead_time_days"] else None,
    )
    return [Out(SUPPLIERS, supplier)]


def events_of_deliveries(rows: Sequence[Row], now: datetime) -> list[Out]:
    """One supplier of many deliveries, under the spelling that most of them use."""
    spellings = Counter(row["name"] for row in rows)
    name = min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
    supplier = Supplier(
        id=f"{NAME}/{slug(name)}/{short_hash(name)}",
        occurred_at=now,
        by=f"import {NAME}",
        supplier_id=slug(name),
        name=name,
    )
    return [Out(SUPPLIERS, supplier)]


SOURCE = Source(
    name=NAME,
    what="suppliers, or deliveries and purchase orders that name them",
    variants=(
        Variant(NAME, COLUMNS, place_rows, events_of),
        Variant("deliveries", (_SUPPLIER,), place_deliveries, events_of_deliveries, ("po_so",)),
        Variant("orders", (_SUPPLIER,), place_deliveries, events_of_deliveries, ("po_id",)),
    ),
    latest_wins=True,
)
