"""Empties ClickHouse and has the sink copy all topics again from their beginning.

The sink compares the epoch once a second. `emptying` stops it; the new epoch afterwards makes it
begin anew, because positions count for their own epoch only. Rows that a sink still inserts in
between are rows of the topics, and collapse with the ones that come again. A rebuild that is killed
leaves `emptying` behind: the sink waits and says so until it is run again.
"""

from __future__ import annotations

from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.errors import Unavailable
from runtime.settings import Settings
from sinks.clickhouse.migrate import on_cluster, to_apply
from sinks.clickhouse.rows import COPIES
from sinks.clickhouse.store import Address, Store, connect, unavailable

TABLES = (
    *(copy.table.name for copy in COPIES),
    "sales_daily",
    "sales_quarterly",
    "stock_monthly",
    "copied_topics",
    "copied_positions",
)


async def rebuild(settings: Settings) -> None:
    """Returns when ClickHouse is empty; the sink then fills it, which `inventory status` shows.

    Raises Unavailable where ClickHouse doesn't answer or lacks migrations.
    """
    address = Address.parse(settings.need("clickhouse"))
    store = Store(await connect(settings))
    try:
        if await to_apply(store.client):
            raise Unavailable(
                "ClickHouse's schema is older than this program.", remedy="Run 'inventory migrate'."
            )
        await store.new_epoch(emptying=True)
        await store.empty(TABLES, on_cluster(settings.clickhouse_cluster))
        await store.new_epoch(emptying=False)
    except ClickHouseError as error:
        raise unavailable(address, error) from error
    finally:
        await store.close()
