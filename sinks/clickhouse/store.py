"""Speaks to ClickHouse for the sink: inserts that are counted, positions, epochs, and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from runtime.errors import InventoryError, Mismatch, Unavailable
from runtime.settings import Settings
from schemas.arrivals import Arrival
from sinks.clickhouse.batch import Batch, Stale
from sinks.clickhouse.rows import Row, Table

# Lists of days and SKUs stand in the text of a query: in its address they would be too long.
LONG_QUERY = {"max_query_size": 64 << 20}
# An insert is repeated with other boundaries and collapses by key, so ClickHouse must not leave
# blocks out by itself; and history may touch any number of years at once.
INSERT_SETTINGS = {**LONG_QUERY, "insert_deduplicate": 0, "max_partitions_per_insert_block": 0}
# Rows of one INSERT: more of them only cost memory.
INSERT_ROWS = 50_000

_encoder = msgspec.json.Encoder(decimal_format="string")
Position: TypeAlias = dict[tuple[str, int], int]
"""(topic, partition) -> the next offset to copy."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of INVENTORY_CLICKHOUSE: http://user:password@host:port/database."""

    host: str
    port: int
    secure: bool
    user: str
    password: str
    database: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises InventoryError where something is missing."""
        parts = urlsplit(url)
        database = parts.path.strip("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not database:
            raise InventoryError(
                "The address of ClickHouse has another form than http://user:password@host:port/db.",
                remedy="Correct INVENTORY_CLICKHOUSE.",
            )
        secure = parts.scheme == "https"
        return cls(
            parts.hostname,
            parts.port or (8443 if secure else 8123),
            secure,
            unquote(parts.username or "default"),
            unquote(parts.password or ""),
            database,
        )


async def connect(settings: Settings, *, database: bool = True) -> AsyncClient:
    """A client of the sink's ClickHouse; raises Unavailable where it doesn't answer.

    database: start in the database of the address, which must exist then.
    """
    address = Address.parse(settings.need("clickhouse"))
    try:
        return await clickhouse_connect.get_async_client(
            host=address.host,
            port=address.port,
            secure=address.secure,
            username=address.user,
            password=address.password,
            database=address.database if database else "__default__",
            compress=False,
            query_retries=0,
            connect_timeout=5,
            send_receive_timeout=600,
        )
    except ClickHouseError as error:
        raise unavailable(address, error) from error


def unavailable(address: Address, error: Exception) -> Unavailable:
    """What to tell of an error of ClickHouse: it is away, or it says no."""
    where = f"{address.host}:{address.port}"
    if isinstance(error, OperationalError):
        return Unavailable(
            f"ClickHouse does not answer at {where}.",
            remedy="'inventory status' says what runs; 'inventory up' starts it.",
        )
    code = getattr(error, "code", None)
    if code in (60, 81):
        return Unavailable(
            f"ClickHouse at {where} lacks tables of this program.",
            remedy="Run 'inventory migrate'.",
        )
    return Unavailable(f"ClickHouse at {where} refuses: {' '.join(str(error).split())[:500]}")


@cache
def query(name: str) -> str:
    """The text of schemas/clickhouse/queries/NAME.sql."""
    file = resources.files("schemas.clickhouse").joinpath("queries", f"{name}.sql")
    return file.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One copying from the topics' beginning; `emptying` while a rebuild deletes."""

    number: int
    epoch: str
    emptying: bool


class Store:
    """One ClickHouse. Every method raises ClickHouseError as the driver does."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def client(self) -> AsyncClient:
        return self._client

    async def close(self) -> None:
        await self._client.close()

    # --- rows ------------------------------------------------------------------------------------

    async def write(self, batch: Batch) -> None:
        """Insert a batch's rows; then mark what was deleted."""
        for table, rows in batch.tables():
            for start in range(0, len(rows), INSERT_ROWS):
                await self.insert(table.name, table.columns, rows[start : start + INSERT_ROWS])
        for table, keys in batch.retired.items():
            for key, at in keys.items():
                await self._retire(table, key, at)

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Raises Mismatch where ClickHouse stored another number of rows than it was sent."""
        body = _encoder.encode_lines(rows)
        summary = await self._client.raw_insert(
            table, columns, body, settings=INSERT_SETTINGS, fmt="JSONCompactEachRow"
        )
        if summary.written_rows != len(rows):
            raise Mismatch(
                f"ClickHouse stored {summary.written_rows} of {len(rows)} rows sent to {table}.",
                remedy="What lies between must not change requests; then start the sink again.",
            )

    async def _retire(self, table: Table, key: tuple[Any, ...], at: Arrival) -> None:
        """A deletion keeps the last known row, marked: old facts still refer to it."""
        stored = {"retired": "true", "partition": str(at.partition), "offset": str(at.offset)}
        values = ", ".join(stored.get(column, column) for column in table.columns)
        keys = dict(zip(table.columns, key, strict=False))
        which = " AND ".join(f"{column} = {{{column}:String}}" for column in keys)
        await self._client.command(
            f"INSERT INTO {table.name} ({', '.join(table.columns)}) "
            f"SELECT {values} FROM {table.name} FINAL WHERE {which} AND offset < {at.offset}",
            parameters=keys,
            settings=INSERT_SETTINGS,
        )

    # --- sums ------------------------------------------------------------------------------------

    async def days_that_move(self, products: Mapping[str, tuple[str, int]]) -> set[str]:
        """The days with sales of products that are about to change their sub-category.

        products: SKU -> sub-category and offset. What stands in ClickHouse already was perhaps
        inserted just before a crash, and the sums not brought up to date: those days count too.
        """
        if not products:
            return set()
        known = await self._client.query(
            "SELECT sku, sub_category, offset FROM dim_product FINAL WHERE sku IN %(skus)s",
            parameters={"skus": list(products)},
            settings=LONG_QUERY,
        )
        before = {sku: (name, offset) for sku, name, offset in known.result_rows}
        moved = []
        for sku, (name, offset) in products.items():
            known_name, known_offset = before.get(sku, ("", -1))
            if name != known_name or offset <= known_offset:
                moved.append(sku)
        if not moved:
            return set()
        found = await self._client.query(
            query("days_of_skus"), parameters={"skus": moved}, settings=LONG_QUERY
        )
        return {str(row[0]) for row in found.result_rows}

    async def refresh(self, stale: Stale) -> None:
        """Sum anew, from the facts, what a batch touched."""
        days = sorted(stale.days)
        if days:
            await self._sum("refresh_sales_daily", days=days)
            await self._sum("refresh_sales_quarterly", days=stale.quarter_days())
        if stale.skus:
            months = sorted(int(month.replace("-", "")) for month in stale.months)
            await self._sum("refresh_stock_monthly", months=months, skus=sorted(stale.skus))

    async def _sum(self, name: str, **parameters: Sequence[Any]) -> None:
        await self._client.command(query(name), parameters=parameters, settings=INSERT_SETTINGS)

    # --- how far ---------------------------------------------------------------------------------

    async def epoch(self) -> Epoch:
        """The current one; raises Mismatch where there is none."""
        found = await self._client.query(
            "SELECT number, epoch, emptying FROM copy_epochs FINAL ORDER BY number DESC LIMIT 1"
        )
        if not found.result_rows:
            raise Mismatch(
                "ClickHouse does not know when it was first filled.",
                remedy="Run 'inventory rebuild clickhouse'.",
            )
        number, epoch, emptying = found.result_rows[0]
        return Epoch(number, str(epoch), emptying)

    async def new_epoch(self, *, emptying: bool) -> None:
        await self._client.command(
            "INSERT INTO copy_epochs (number, epoch, emptying) "
            f"SELECT max(number) + 1, generateUUIDv4(), {str(emptying).lower()} FROM copy_epochs"
        )

    async def positions(self, epoch: Epoch) -> Position:
        found = await self._client.query(
            "SELECT topic, partition, max(next) FROM copied_positions "
            "WHERE epoch = {epoch:UUID} GROUP BY topic, partition",
            parameters={"epoch": epoch.epoch},
        )
        return {(topic, partition): following for topic, partition, following in found.result_rows}

    async def save_positions(self, epoch: Epoch, positions: Position) -> None:
        rows: list[Row] = [
            [epoch.epoch, topic, partition, following]
            for (topic, partition), following in positions.items()
        ]
        if rows:
            columns = ("epoch", "topic", "partition", "next")
            await self.insert("copied_positions", columns, rows)

    async def accept_topics(self, topic_ids: Mapping[str, str]) -> None:
        """Remember which topics are copied; raises Mismatch where others were before."""
        found = await self._client.query("SELECT DISTINCT topic, topic_id FROM copied_topics")
        known: dict[str, set[str]] = {}
        for topic, topic_id in found.result_rows:
            known.setdefault(topic, set()).add(topic_id)
        for topic, topic_id in topic_ids.items():
            if known.get(topic, {topic_id}) != {topic_id}:
                raise Mismatch(
                    f"ClickHouse was copied from another topic {topic} than the one that exists "
                    "now: Kafka's data were made anew.",
                    remedy="Run 'inventory rebuild clickhouse'.",
                )
        rows: list[Row] = [[topic, topic_ids[topic]] for topic in topic_ids if topic not in known]
        if rows:
            await self.insert("copied_topics", ("topic", "topic_id"), rows)

    async def empty(self, tables: Sequence[str], on_cluster: str) -> None:
        for table in tables:
            await self._client.command(f"TRUNCATE TABLE IF EXISTS {table} {on_cluster}")


async def close_quietly(store: Store | None) -> None:
    """Close the connections of a store that may be gone already."""
    if store is not None:
        with suppress(ClickHouseError, OSError):
            await store.close()
