"""The newest state of one key, read from its ledger: what the fold itself knows, to the moment."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.codec import decode
from runtime.kafka import new_consumer, start
from runtime.partitions import cached_partition_of, partition_count
from runtime.settings import Settings
from runtime.topic_admin import describe_topics
from schemas.topics import Topic

# Whoever asks for a state has mostly just changed it: look at the newest records first, then
# at four times as many.
FIRST_WINDOW = 20_000


async def read_state(settings: Settings, ledger: Topic, key: str) -> Any:
    """The newest committed state of a key, or None where there is none."""
    await describe_topics(settings, [ledger])
    count = partition_count(ledger, settings.sku_partitions, settings.order_partitions)
    at = TopicPartition(ledger.name, cached_partition_of(key, count))
    consumer = new_consumer(settings)
    await start(consumer, settings)
    try:
        consumer.assign([at])
        first = (await consumer.beginning_offsets([at]))[at]
        end = (await consumer.end_offsets([at]))[at]
        value = await _newest(consumer, at, key.encode(), first, end)
    finally:
        await consumer.stop()
    return None if value is None else decode(ledger, key.encode(), value)


async def _newest(
    consumer: AIOKafkaConsumer, at: TopicPartition, key: bytes, first: int, end: int
) -> bytes | None:
    window, upper = FIRST_WINDOW, end
    while upper > first:
        lower = max(first, upper - window)
        consumer.seek(at, lower)
        value: bytes | None = None
        while await consumer.position(at) < upper:
            for records in (await consumer.getmany(at, timeout_ms=1000)).values():
                for record in records:
                    if record.key == key and record.offset < upper and record.value is not None:
                        value = record.value
        if value is not None:
            return value
        window, upper = window * 4, lower
    return None
