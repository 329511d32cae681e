"""Places that hold stock, from a file: what it says of a place replaces what was known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

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
from schemas.events.catalog import Location
from schemas.topics import LOCATIONS

NAME = "locations"
LOCATION_ID_MAX = 64

COLUMNS = (
    Column(
        "location_id",
        cells.identifier(LOCATION_ID_MAX),
        ("location", "store_id", "warehouse_id", "location_code", "store", "warehouse", "id"),
    ),
    Column("name", cells.text(), ("location_name", "store_name", "warehouse_name"), False, False),
    Column("kind", cells.choice(Literal["store", "warehouse"]), ("type",), False, False),
    Column("city", cells.text(), ("town",), False, False),
    Column("state", cells.text(), ("province",), False, False),
    Column("country", cells.text(), (), False, False),
    Column("market", cells.text(), (), False, False),
    Column("region", cells.text(), (), False, False),
)
_NAMES = [column.name for column in COLUMNS]


def place_rows(rows: pd.DataFrame) -> Placed:
    return Placed(group_key=rows["location_id"])


def events_of(rows: Sequence[Row], now: datetime) -> list[Out]:
    """One place; a place without a name is called by its id."""
    row = agreed(rows, _NAMES)
    location = Location(
        id=f"{NAME}/{row['location_id']}/{short_hash(*(row[name] for name in _NAMES))}",
        occurred_at=now,
        by=f"import {NAME}",
        location_id=row["location_id"],
        name=row["name"] or row["location_id"],
        kind="warehouse" if row["kind"].casefold() == "warehouse" else "store",
        city=row["city"] or None,
        state=row["state"] or None,
        country=row["country"] or None,
        market=row["market"] or None,
        region=row["region"] or None,
    )
    return [Out(LOCATIONS, location)]


SOURCE = Source(
    name=NAME,
    what="places that hold stock: location_id, name, kind, city, state, country",
    variants=(Variant(NAME, COLUMNS, place_rows, events_of),),
    latest_wins=True,
)
