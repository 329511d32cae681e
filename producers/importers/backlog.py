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
from aiokafka.errors import KafkaError

from runtime.codec import decode
from runtime.kafka import client_options, new_consumer, start, unreachable
from runtime.partitions import partition_count
from runtime.settings import Settings
from schemas.arrivals import Refused
from schemas.events.imports import ImportProgress
from schemas.topics import IMPORTS, Topic

POLL_SECONDS = 0.2
TAIL_RECORDS = 64
Offsets = dict[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as the importers need it; event_id is the CloudEvents header, if there is one."""

    key: str
    event_id: str
    value: bytes | None


async def read_all(settings: Settings, topic: Topic) -> AsyncIterator[Entry]:
    """Every record that is on the topic now, oldest first.

    Uncommitted ones too: what importers wrote is in no transaction, and a killed fold's open
    one must not hide it.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await start(consumer, settings)
    try:
        ends = await _assign_all(consumer, topic, settings)
        await consumer.seek_to_beginning()
        while await _before(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event_id = dict(record.headers).get("ce_id", b"")
                    key = (record.key or b"").decode(errors="replace")
                    yield Entry(key, event_id.decode(errors="replace"), record.value)
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


async def _before(consumer: AIOKafkaConsumer, ends: Offsets) -> bool:
    """Is there something before these ends that the consumer has not read?"""
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False


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
        except KafkaError as error:
            raise unreachable(self._settings) from error
        return {partition: meta.offset for partition, meta in found.items()}

    async def ends(self, topic: Topic) -> Offsets:
        """The next offset after the last committed record of each partition that has one.

        Not the log's end: behind the last record may stand transaction markers, which no
        reader's position counts.
        """
        consumer = new_consumer(self._settings)
        await start(consumer, self._settings)
        try:
            ends = await _assign_all(consumer, topic, self._settings)
            starts = await consumer.beginning_offsets(list(ends))
            found: Offsets = {}
            tail = TAIL_RECORDS
            open_ends = {p: end for p, end in ends.items() if end > starts[p]}
            while open_ends:
                for partition, end in open_ends.items():
                    consumer.seek(partition, max(starts[partition], end - tail))
                found |= await _last_read(consumer, open_ends)
                open_ends = {
                    p: end
                    for p, end in open_ends.items()
                    if p not in found and end - tail > starts[p]
                }
                tail *= 16
            return found
        except KafkaError as error:
            raise unreachable(self._settings) from error
        finally:
            await consumer.stop()


async def _last_read(consumer: AIOKafkaConsumer, ends: Offsets) -> Offsets:
    last: Offsets = {}
    while await _before(consumer, ends):
        read: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200)
        for partition, records in read.items():
            if partition in ends and records:
                last[partition] = records[-1].offset + 1
    return last


@asynccontextmanager
async def readers(settings: Settings) -> AsyncIterator[Readers]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await start(admin, settings)
    try:
        yield Readers(settings, admin)
    finally:
        await admin.close()
