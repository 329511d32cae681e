"""A count that the stock fold can't place any more: what the books said when it was taken."""

from __future__ import annotations

import time
from datetime import datetime

from inventory.commands.ledgers import read_state
from inventory.commands.stores import clickhouse, named_query
from runtime.clock import to_millis
from runtime.errors import InventoryError
from runtime.settings import Settings
from schemas.events.base import LATEST
from schemas.events.stock import StockLevel
from schemas.topics import STOCK_LEVELS

CATCH_UP_SECONDS = 5.0
POLL_SECONDS = 0.1


async def too_old(
    settings: Settings, sku: str, location_id: str, at: datetime
) -> StockLevel | None:
    """The level, if the stock fold no longer remembers what it was at that time.

    None where it does, or where a newer count makes this one mean nothing.
    """
    level: StockLevel | None = await read_state(settings, STOCK_LEVELS, f"{sku}|{location_id}")
    if level is None or to_millis(at) >= level.recent_since:
        return None
    if level.counted_at is not None and at < level.counted_at:
        return None
    return level


def level_then(settings: Settings, level: StockLevel, at: datetime, known_by: datetime) -> int:
    """On hand by the books at an instant, as known by another: from ClickHouse.

    Raises InventoryError where ClickHouse lacks movements that the level includes.
    """
    asked = {
        "at": at,
        "known_by": known_by,
        "ever": LATEST,
        "sku": level.sku,
        "place": level.location_id,
    }
    deadline = time.monotonic() + CATCH_UP_SECONDS
    with clickhouse(settings) as client:
        while True:
            sql = named_query("clickhouse", "shell_level_then")
            ((then, movements),) = client.query(sql, parameters=asked).result_rows
            # Versions count a level's movements without gaps.
            if movements >= level.version:
                return int(then)
            if time.monotonic() > deadline:
                raise InventoryError(
                    f"ClickHouse has {movements} of {level.version} movements of {level.sku} at "
                    f"{level.location_id}, so what the books said then is not known yet.",
                    remedy="Try again when 'inventory status' shows no lag of sink-clickhouse.",
                )
            time.sleep(POLL_SECONDS)
