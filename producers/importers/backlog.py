"""What topics hold already, and how far their readers have come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
)

from runtime.codec import decode
from runtime.kafka import client_options, start, unreachable
from runtime.partitions import partition_count
from runtime.settings import Settings
from schemas.arrivals import Refused
from schemas.events.imports import ImportProgress
from schemas.topics import IMPORTS, Topic

POLL_SECONDS = 0.2
TAIL_RECORDS = 64
SILENCE_SECONDS = 30.0
Offsets = dict[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as the importers need it; event_id is the CloudEvents header, if there is one."""

    key: str
    event_id: str
    value: bytes | None


async def read_all(settings: Settings, topic: Topic) -> AsyncIterator[Entry]:
    """Every record that is on the topic now, oldest first."""
    async with _consumer(settings) as consumer:
        ends = await _assign_all(consumer, topic, settings)
        await consumer.seek_to_beginning()
        async for batch in _batches(consumer, ends, settings):
            for records in batch.values():
                for record in records:
                    event_id = dict(record.headers).get("ce_id", b"")
                    key = (record.key or b"").decode(errors="replace")
                    yield Entry(key, event_id.decode(errors="replace"), record.value)


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads uncommitted records too.

    What importers wrote is in no transaction, and must not be hidden behind the open one of a
    fold that was killed.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await start(consumer, settings)
    try:
        yield consumer
    except KafkaError as error:
        raise unreachable(settings) from error
    finally:
        await consumer.stop()


async def _assign_all(consumer: AIOKafkaConsumer, topic: Topic, settings: Settings) -> Offsets:
    """Take every partition of the topic; returns where they end now."""
    count = partition_count(topic, settings.sku_partitions, settings.order_partitions)
    partitions = [TopicPartition(topic.name, number) for number in range(count)]
    consumer.assign(partitions)
    ends: Offsets = await consumer.end_offsets(partitions)
    return ends


async def _batches(
    consumer: AIOKafkaConsumer, ends: Offsets, settings: Settings
) -> AsyncIterator[dict[TopicPartition, list[Any]]]:
    """Read on to these ends. Raises Unavailable where nothing comes for a while."""
    left, moved_at = -1, time.monotonic()
    while True:
        before = left
        left = sum([max(0, end - await consumer.position(at)) for at, end in ends.items()])
        if left == 0:
            return
        if left != before:
            moved_at = time.monotonic()
        if time.monotonic() - moved_at > SILENCE_SECONDS:
            raise unreachable(settings)
        yield await consumer.getmany(timeout_ms=200)


async def read_imports(settings: Settings) -> dict[str, ImportProgress]:
    """The latest progress of every import, by its id."""
    latest: dict[str, ImportProgress] = {}
    async for entry in read_all(settings, IMPORTS):
        try:
            progress = decode(IMPORTS, entry.key.encode(), entry.value)
        except Refused:
            continue  # the sink turns it into a dead letter; it names no import of ours
        if progress is not None:
            latest[progress.import_id] = progress
    return latest


class Readers:
    """How far consumer groups have come."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._settings = settings
        self._admin = admin

    async def wait(self, group: str, goals: Mapping[TopicPartition, int], stall: float) -> bool:
        """Wait until the group has read up to the goals (next offsets).

        False when it stood still for `stall` seconds before.
        """
        best, moved_at = -1, time.monotonic()
        while True:
            committed = await self._committed(group)
            if all(committed.get(partition, 0) >= goal for partition, goal in goals.items()):
                return True
            read = sum(committed.get(partition, 0) for partition in goals)
            if read > best:
                best, moved_at = read, time.monotonic()
            if time.monotonic() - moved_at >= stall:
                return False
            await asyncio.sleep(POLL_SECONDS)

    async def _committed(self, group: str) -> Offsets:
        try:
            found = await self._admin.list_consumer_group_offsets(group)
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            return {}  # a fresh broker makes its topic of offsets when the first group comes
        except KafkaError as error:
            raise unreachable(self._settings) from error
        return {partition: meta.offset for partition, meta in found.items()}

    async def ends(self, topic: Topic) -> Offsets:
        """The next offset after the last record of each partition that has one.

        Not the log's end: behind the last record may stand transaction markers, which no
        reader's position counts.
        """
        async with _consumer(self._settings) as consumer:
            ends = await _assign_all(consumer, topic, self._settings)
            starts = await consumer.beginning_offsets(list(ends))
            found: Offsets = {}
            tail = TAIL_RECORDS
            ends = {at: end for at, end in ends.items() if end > starts[at]}
            while ends:
                for at, end in ends.items():
                    consumer.seek(at, max(starts[at], end - tail))
                async for batch in _batches(consumer, ends, self._settings):
                    found |= {at: read[-1].offset + 1 for at, read in batch.items() if read}
                ends = {
                    at: end
                    for at, end in ends.items()
                    if at not in found and end - tail > starts[at]
                }
                tail *= 16
            return found


@asynccontextmanager
async def readers(settings: Settings) -> AsyncIterator[Readers]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await start(admin, settings)
    try:
        yield Readers(settings, admin)
    finally:
        await admin.close()
