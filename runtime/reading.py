"""Reads partitions of a topic from where one stands to their present end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from runtime.kafka import new_consumer, start
from runtime.settings import Settings
from schemas.topics import Topic

FETCH_BYTES = 8 * 1024 * 1024


async def read_to_end(
    settings: Settings,
    topic: Topic,
    read_from: Mapping[int, int],
    take: Callable[[Sequence[Any]], None],
) -> dict[int, int]:
    """Hand over all committed records of these partitions, in slices of one partition each.

    read_from: partition -> offset; below the topic's beginning means the beginning.
    Returns partition -> the end that was read to. Records that come meanwhile are not waited
    for. Raises Unavailable where no broker answers.
    """
    consumer = new_consumer(settings, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_wait_ms=10)
    await start(consumer, settings)
    try:
        wanted = {TopicPartition(topic.name, number): at for number, at in read_from.items()}
        consumer.assign(list(wanted))
        ends = await consumer.end_offsets(list(wanted))
        begins = await consumer.beginning_offsets(list(wanted))
        for partition, at in wanted.items():
            consumer.seek(partition, max(at, begins[partition]))
        behind = set(wanted)
        while True:
            for partition in list(behind):
                if await consumer.position(partition) >= ends[partition]:
                    behind.discard(partition)
                    consumer.pause(partition)
            if not behind:
                break
            fetched = await consumer.getmany(*behind, timeout_ms=200)
            for records in fetched.values():
                take(records)
    finally:
        await consumer.stop()
    return {partition.partition: end for partition, end in ends.items()}
