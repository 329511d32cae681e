"""The sink's side of PostgreSQL: rows and positions change together or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from asyncpg import exceptions as pg

from runtime.errors import Mismatch
from runtime.settings import Settings
from schemas.arrivals import Refused
from sinks.postgres.batch import Batch, Record
from sinks.postgres.database import AWAY, UNSTORABLE, connect
from sinks.postgres.reading import read_batch
from sinks.postgres.tables import (
    BY_NAME,
    DELETE_RESERVATIONS,
    TABLES,
    UPSERT_ORDERS,
    Table,
)

ITEMS, PARTS = BY_NAME["order_items"], BY_NAME["reservations"]
_KNOWN_MAX = 200_000
_REFERRED_TO = (
    "categories",
    "places",
    "suppliers",
    "products",
    "locations",
    "customers",
    "orders",
)
_ADVANCE = """
UPDATE stream_positions p SET next = m.new
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) m (topic, partition, read, new)
WHERE p.topic = m.topic AND p.partition = m.partition AND p.next = m.read
"""
_BEGIN = """
INSERT INTO stream_positions (topic, partition, topic_id, next)
SELECT *, 0 FROM unnest($1::text[], $2::bigint[], $3::text[])
ON CONFLICT (topic, partition) DO NOTHING
"""


class Place(NamedTuple):
    topic: str
    partition: int


class Move(NamedTuple):
    """A position that goes from `read`, where the store was found, to `new`."""

    place: Place
    read: int
    new: int


class Store:
    """One connection, made when needed and made again after it broke.

    Methods raise what AWAY lists where the server is not there; nothing is changed then, or, if
    the connection broke within a commit, all is: the positions tell.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None
        self._known: dict[str, set[Any]] = {name: set() for name in _REFERRED_TO}

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def begin(self, topic_ids: Mapping[Place, str]) -> dict[Place, int]:
        """Where the store stands in each partition: 0 where it has nothing of it yet.

        Raises Mismatch where it was copied from another topic of the same name.
        """
        places = sorted(topic_ids)
        try:
            async with self._transaction() as connection:
                await connection.execute(
                    _BEGIN,
                    [place.topic for place in places],
                    [place.partition for place in places],
                    [topic_ids[place] for place in places],
                )
                found = await self._rows(connection, places)
        except pg.UndefinedTableError as error:
            raise Mismatch(
                "PostgreSQL has no tables yet.", remedy="Run 'inventory migrate'."
            ) from error
        for place, (topic_id, _) in found.items():
            if topic_id != topic_ids[place]:
                raise Mismatch(
                    f"PostgreSQL was copied from another topic {place.topic} than the one in "
                    f"Kafka now (id {topic_id}, not {topic_ids[place]}).",
                    remedy="Run 'inventory rebuild postgres' to copy this one.",
                )
        return {place: position for place, (_, position) in found.items()}

    async def positions(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where the store stands; nothing of a partition whose position is gone."""
        async with self._transaction() as connection:
            found = await self._rows(connection, places)
        return {place: position for place, (_, position) in found.items()}

    async def _rows(self, connection: Any, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        rows = await connection.fetch(
            "SELECT topic, partition, topic_id, next FROM stream_positions "
            "JOIN unnest($1::text[], $2::bigint[]) u (topic, partition) USING (topic, partition)",
            [place.topic for place in places],
            [place.partition for place in places],
        )
        return {
            Place(row["topic"], row["partition"]): (row["topic_id"], row["next"]) for row in rows
        }

    async def write(self, batch: Batch, moves: Sequence[Move], *, keep: bool = True) -> None:
        """Store a batch and move the positions, in one transaction.

        Raises Mismatch where a position is not where it was read: another sink, or a rebuild,
        has been here. Raises what UNSTORABLE lists where a value fits no column.
        keep: False to try only: nothing is changed.
        """
        batch.add_placeholders(self._known)
        async with self._transaction() as connection:
            await _advance(connection, moves)
            for table in TABLES:
                await self._store(connection, table, batch)
            if not keep:
                raise _TriedOnly
        if keep:
            self._remember(batch)

    async def find_unstorable(
        self, records: Sequence[Record], partitions: Mapping[str, int]
    ) -> list[tuple[Record, Refused]]:
        """Which records hold values that fit no column, by halves; changes nothing."""
        try:
            await self.write(read_batch(records, partitions), [], keep=False)
        except UNSTORABLE as error:
            if len(records) == 1:
                return [(records[0], Refused("not_storable", " ".join(str(error).split())))]
            middle = len(records) // 2
            first = await self.find_unstorable(records[:middle], partitions)
            return first + await self.find_unstorable(records[middle:], partitions)
        return []

    async def _store(self, connection: Any, table: Table, batch: Batch) -> None:
        rows = batch.rows[table.name]
        if table.name == "orders":
            await _store_orders(connection, batch)
        elif table.rule == "once" and table.name in self._known:
            known = self._known[table.name]
            await _upsert(connection, table, {k: r for k, r in rows.items() if k[0] not in known})
        else:
            gone = sorted(key for key, row in rows.items() if row is None)
            if gone:
                await connection.execute(table.delete, *zip(*gone, strict=True))
                rows = {key: row for key, row in rows.items() if row is not None}
            await _upsert(connection, table, rows)

    def _remember(self, batch: Batch) -> None:
        for name, known in self._known.items():
            if len(known) > _KNOWN_MAX:
                known.clear()
            known.update(key[0] for key in batch.rows[name])

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        try:
            if self._connection is None:
                self._connection = await connect(self._settings, "sink-postgres")
            async with self._connection.transaction():
                yield self._connection
        except _TriedOnly:
            pass
        except AWAY:
            await self.close()
            raise


class _TriedOnly(Exception):
    """Rolls a trial back."""


async def _advance(connection: Any, moves: Sequence[Move]) -> None:
    ordered = sorted(moves)
    done = await connection.execute(
        _ADVANCE,
        [move.place.topic for move in ordered],
        [move.place.partition for move in ordered],
        [move.read for move in ordered],
        [move.new for move in ordered],
    )
    if done != f"UPDATE {len(ordered)}":
        raise Mismatch(
            "Another sink, or a rebuild, has moved PostgreSQL's positions; nothing was written.",
            remedy="Started again, this sink goes on from where the store stands now.",
        )


async def _upsert(connection: Any, table: Table, rows: Mapping[tuple[Any, ...], Any]) -> None:
    if rows:
        await connection.execute(table.upsert, *table.arrays(rows))


async def _store_orders(connection: Any, batch: Batch) -> None:
    """Orders with their lines, where the order is new, and reservations, where its state is."""
    orders = batch.rows["orders"]
    if not orders:
        return
    changed = await connection.fetch(UPSERT_ORDERS, *BY_NAME["orders"].arrays(orders))
    placed = [row["order_id"] for row in changed if row["placed"]]
    items = [item for order_id in placed for item in batch.items.get(order_id, ())]
    await _upsert(connection, ITEMS, {item[: ITEMS.keyed]: item for item in items})
    moved = sorted(row["order_id"] for row in changed if row["moved"])
    if moved:
        await connection.execute(DELETE_RESERVATIONS, moved)
    parts = [part for order_id in moved for part in batch.reserved.get(order_id, ())]
    await _upsert(connection, PARTS, {part[: PARTS.keyed]: part for part in parts})
