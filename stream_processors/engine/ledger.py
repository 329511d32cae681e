"""Reads a fold's ledger to its end: the states of its table, and where it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runtime.codec import decode_state
from runtime.errors import Mismatch
from runtime.reading import read_to_end
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
    settings: Settings, ledger: Topic, read_from: Mapping[int, int]
) -> dict[int, Restored]:
    """Read partitions of a ledger from the given positions to their present ends.

    Only the last value of each key is decoded. The fold's transactional producer must have been
    started before, so that nobody else can write behind the end.
    """
    raw: dict[int, dict[bytes, bytes | None]] = {number: {} for number in read_from}

    def take(records: Sequence[Any]) -> None:
        latest = raw[records[0].partition]
        for record in records:
            latest[record.key] = record.value

    ends = await read_to_end(settings, ledger, read_from, take)
    return {
        partition: await _decode(ledger, records, ends[partition])
        for partition, records in raw.items()
    }


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
