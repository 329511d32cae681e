"""Reads a fold's ledger to its end: the states of its table, and where it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import TopicPartition

from runtime.codec import decode_state
from runtime.errors import Mismatch
from runtime.kafka import new_consumer, start
from runtime.settings import Settings
from schemas.events.positions import POSITION_PREFIX, Position
from schemas.topics import Topic

_decode_position = msgspec.json.Decoder(Position).decode
DECODE_SLICE = 2_000


@dataclass(slots=True)
class Restored:
    """What the ledger says of one partition.

    read_to: the ledger's position after it; a later restore goes on from there.
    """

    read_to: int
    position: Position | None = None
    states: dict[str, Any] = field(default_factory=dict)


async def restore(
    settings: Settings,
    ledger: Topic,
    read_from: Mapping[int, int],
) -> dict[int, Restored]:
    """Read partitions of a ledger from the given positions to their present ends.

    Only the last value of each key is decoded. The fold's transactional producer must have been
    started before, so that nobody else can write behind the end.
    """
    consumer = new_consumer(
        settings, max_partition_fetch_bytes=8 * 1024 * 1024, fetch_max_wait_ms=10
    )
    await start(consumer, settings)
    try:
        raw, read_to = await _read_to_end(consumer, ledger, read_from)
    finally:
        await consumer.stop()
    return {
        partition: await _decode(ledger, records, read_to[partition])
        for partition, records in raw.items()
    }


async def _read_to_end(
    consumer: Any, ledger: Topic, read_from: Mapping[int, int]
) -> tuple[dict[int, dict[bytes, bytes | None]], dict[int, int]]:
    partitions = {TopicPartition(ledger.name, number): at for number, at in read_from.items()}
    consumer.assign(list(partitions))
    ends = await consumer.end_offsets(list(partitions))
    begins = await consumer.beginning_offsets(list(partitions))
    for partition, at in partitions.items():
        consumer.seek(partition, max(at, begins[partition]))
    raw: dict[int, dict[bytes, bytes | None]] = {number: {} for number in read_from}
    behind = set(partitions)
    while True:
        for partition in list(behind):
            if await consumer.position(partition) >= ends[partition]:
                behind.discard(partition)
                consumer.pause(partition)
        if not behind:
            break
        fetched = await consumer.getmany(*behind, timeout_ms=200)
        for partition, records in fetched.items():
            latest = raw[partition.partition]
            for record in records:
                latest[record.key] = record.value
    return raw, {partition.partition: end for partition, end in ends.items()}


async def _decode(ledger: Topic, records: dict[bytes, bytes | None], read_to: int) -> Restored:
    restored = Restored(read_to)
    for number, (key_bytes, value) in enumerate(records.items(), 1):
        key = key_bytes.decode()
        if key.startswith(POSITION_PREFIX):
            if value is not None:
                restored.position = _decode_position(value)
        else:
            restored.states[key] = None if value is None else decode_state(ledger, value)
        if number % DECODE_SLICE == 0:
            await asyncio.sleep(0)
    return restored


def check_position(
    topic: str, partition: int, position: Position | None, topic_id: str, committed: int | None
) -> int | None:
    """Where to go on reading an input: the ledger's word; None where it has none.

    Raises Mismatch where the ledger can't belong to this topic: another topic id, or offsets
    committed for the group that the ledger knows nothing of.
    """
    known = None if position is None else position.inputs.get(topic)
    if known is not None and known.topic_id != topic_id:
        raise Mismatch(
            f"Topic {topic} was made anew since the ledger was written (id {topic_id}, the "
            f"ledger knows {known.topic_id}).",
            remedy="Restore the topic, or drop the fold's ledger and consumer group with it.",
        )
    following = None if known is None else known.next
    if committed is not None and committed > (following or 0):
        raise Mismatch(
            f"The group has committed offset {committed} of {topic}/{partition}, the ledger only "
            f"{following}: records of the ledger are lost.",
            remedy="Restore the ledger topic; a table without them would count wrongly.",
        )
    return following
