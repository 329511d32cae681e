"""What the stores say, once their sinks have come as far as the topics were read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from aiokafka import TopicPartition

from inventory.commands.stores import clickhouse, named_query, postgres
from inventory.reconciling.figures import Figures, Sold, Standing, Stock
from inventory.reconciling.topics_side import Reached
from runtime.errors import InventoryError
from runtime.kafka import new_consumer, start
from runtime.settings import Settings
from schemas.topics import BY_NAME

POLL_SECONDS = 0.2
STANDSTILL_SECONDS = 60
"""A sink that doesn't move for so long, with work to do, isn't running."""

OnLag = Callable[[str, int], None]


async def wait_for_sinks(settings: Settings, reached: Reached, on_lag: OnLag) -> None:
    """Wait until both sinks have passed what was read. Raises InventoryError on a standstill."""
    async with postgres(settings) as connection:
        await _wait("sink-postgres", lambda: _postgres_lag(connection, reached), on_lag)
    consumer = new_consumer(settings, group_id="sink-clickhouse")
    await start(consumer, settings)
    try:
        await _wait("sink-clickhouse", lambda: _clickhouse_lag(consumer, reached), on_lag)
    finally:
        await consumer.stop()


async def _wait(sink: str, lag_of: Callable[[], Any], on_lag: OnLag) -> None:
    moved_at, before = time.monotonic(), None
    while lag := await lag_of():
        on_lag(sink, lag)
        if lag != before:
            moved_at, before = time.monotonic(), lag
        elif time.monotonic() - moved_at > STANDSTILL_SECONDS:
            raise InventoryError(
                f"{sink} stands still, {lag:,} records behind the topics.",
                remedy="'inventory status' says what is wrong with it.",
            )
        await asyncio.sleep(POLL_SECONDS)


async def _postgres_lag(connection: asyncpg.Connection, reached: Reached) -> int:
    rows = await connection.fetch(named_query("postgres", "reconcile_positions"))
    following = {(row["topic"], row["partition"]): row["next"] for row in rows}
    return sum(
        max(0, end - following.get(at, 0))
        for at, end in reached.items()
        if "sink-postgres" in BY_NAME[at[0]].readers
    )


async def _clickhouse_lag(consumer: Any, reached: Reached) -> int:
    lag = 0
    for (topic, partition), end in reached.items():
        if "sink-clickhouse" in BY_NAME[topic].readers:
            committed = await consumer.committed(TopicPartition(topic, partition))
            lag += max(0, end - (committed or 0))
    return lag


async def read_postgres(settings: Settings) -> Figures:
    figures = Figures("PostgreSQL", reserved={}, orders={})
    async with postgres(settings) as connection, connection.transaction(readonly=True):
        for row in await connection.fetch(named_query("postgres", "reconcile_levels")):
            sku, location_id, *stock = row
            figures.levels[sku, location_id] = Stock(*stock)
        for row in await connection.fetch(named_query("postgres", "reconcile_sold")):
            currency, *sold = row
            figures.sold[currency] = Sold(*sold)
        figures.reserved = {
            (row["sku"], row["location_id"]): row["quantity"]
            for row in await connection.fetch(named_query("postgres", "reconcile_reserved"))
        }
        figures.orders = {
            row["order_id"]: Standing(row["status"], row["version"])
            for row in await connection.fetch(named_query("postgres", "reconcile_orders"))
        }
    return figures


def read_clickhouse(settings: Settings) -> Figures:
    with clickhouse(settings) as client:

        def rows(name: str) -> list[Sequence[Any]]:
            return list(client.query(named_query("clickhouse", name)).result_rows)

        return Figures(
            "ClickHouse",
            levels={(sku, at): Stock(*stock) for sku, at, *stock in rows("reconcile_levels")},
            facts={(sku, at): Stock(*stock) for sku, at, *stock in rows("reconcile_facts")},
            sold={currency: Sold(*sold) for currency, *sold in rows("reconcile_sold")},
        )
