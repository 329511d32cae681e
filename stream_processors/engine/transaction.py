"""Writes one step of a fold to Kafka: all of it, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiokafka.producer.sender
from aiokafka import TopicPartition

from runtime.codec import Headers, encode, event_headers
from runtime.kafka import new_producer, start
from runtime.partitions import cached_partition_of, partition_count
from runtime.settings import Settings
from runtime.topic_admin import DEAD_LETTER_BYTES_MAX
from schemas.topics import DEAD_LETTERS, Topic, key_of
from stream_processors.engine.outcome import Out

# aiokafka waits so long (seconds) between two transactions of a producer, for a broker that still
# writes the markers of the last: 55 transactions/s a partition with its 0.02, 120-150 with this.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.003
# A broker that still writes the markers of the last transaction answers "not yet"; asking again
# after 5 ms instead of 100 takes the slowest writes from 108 to 30 ms.
RETRY_BACKOFF_MS = 5
# An open transaction of a frozen worker holds back readers for so long.
TRANSACTION_TIMEOUT_MS = 10_000
COMMIT_SECONDS = 30
"""Without a broker aiokafka's idempotent producer would try for ever, and say nothing."""
RECORD_BYTES_MAX = 900_000
"""Larger records are refused before Kafka would (its limit is 1,048,588 with overhead)."""

OnStep = Callable[[str], None]


@dataclass(slots=True)
class Record:
    """One record to write: encoded, its partition known."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)


class Encoder:
    """Turns states and outcomes into records, under registered keys and partitions."""

    def __init__(self, settings: Settings, fold: str) -> None:
        self._source = f"/fold/{fold}"
        self._settings = settings
        self._partitions: dict[str, int] = {}

    def out(self, out: Out) -> Record:
        key = key_of(out.topic, out.event)
        return Record(
            out.topic.name,
            cached_partition_of(key, self._count(out.topic)),
            key.encode(),
            encode(out.event),
            event_headers(out.event, self._source),
        )

    def dead_letter(self, key: bytes | None, value: bytes | None, headers: Headers) -> Record:
        return Record(DEAD_LETTERS.name, 0, key, value, headers)

    def _count(self, topic: Topic) -> int:
        count = self._partitions.get(topic.name)
        if count is None:
            settings = self._settings
            count = partition_count(topic, settings.sku_partitions, settings.order_partitions)
            self._partitions[topic.name] = count
        return count


class Writer:
    """The transactional producer of one partition number of a fold.

    Starting it fences whoever had the partition before: their open transaction is aborted, and
    they can commit no more.
    """

    def __init__(self, settings: Settings, fold: str, partition: int, on_step: OnStep) -> None:
        self._settings = settings
        self._group = fold
        self._on_step = on_step
        self._producer = new_producer(
            settings,
            transactional_id=f"{fold}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            max_batch_size=512 * 1024,
            max_request_size=DEAD_LETTER_BYTES_MAX,
        )

    async def start(self) -> None:
        await start(self._producer, self._settings)

    async def stop(self) -> None:
        await self._producer.stop()

    async def commit(
        self, records: list[Record], offsets: dict[TopicPartition, int], ledger: TopicPartition
    ) -> int:
        """Write records and offsets in one transaction; returns the ledger's end after it.

        Raises whatever went wrong. Nothing is then known of the outcome, and the process must
        end: a restart reads the truth from the ledger.
        """
        async with asyncio.timeout(COMMIT_SECONDS):
            return await self._commit(records, offsets, ledger)

    async def _commit(
        self, records: list[Record], offsets: dict[TopicPartition, int], ledger: TopicPartition
    ) -> int:
        producer = self._producer
        await producer.begin_transaction()
        self._on_step("begun")
        sends = await self._send(records)
        self._on_step("sent")
        # aiokafka commits happily although a batch was refused: wait for every one of them.
        results = await asyncio.gather(*(future for _, _, future in sends))
        self._on_step("acknowledged")
        await producer.send_offsets_to_transaction(offsets, self._group)
        self._on_step("offsets")
        await producer.commit_transaction()
        self._on_step("committed")
        end: int = max(
            result.offset + count
            for result, (at, count, _) in zip(results, sends, strict=True)
            if at == ledger
        )
        return end

    async def _send(
        self, records: list[Record]
    ) -> list[tuple[TopicPartition, int, asyncio.Future[Any]]]:
        """Hand over batches: a future a record would cost more than the record itself."""
        producer = self._producer
        by_partition: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            by_partition.setdefault((record.topic, record.partition), []).append(record)
        sends = []
        for (topic, partition), group in by_partition.items():
            at = TopicPartition(topic, partition)
            batch = producer.create_batch()
            for record in group:
                fields = {"key": record.key, "value": record.value, "headers": record.headers}
                if batch.append(timestamp=None, **fields) is None:
                    full, batch = batch, producer.create_batch()
                    sends.append((at, full.record_count(), await _submit(producer, full, at)))
                    batch.append(timestamp=None, **fields)
            sends.append((at, batch.record_count(), await _submit(producer, batch, at)))
        return sends


async def _submit(producer: Any, batch: Any, at: TopicPartition) -> asyncio.Future[Any]:
    batch.close()
    future: asyncio.Future[Any] = await producer.send_batch(batch, at.topic, partition=at.partition)
    return future
