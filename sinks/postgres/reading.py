"""From records to a batch: decode, refuse, and hand each event to its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime.clock import from_millis
from runtime.codec import check_partition, decode
from schemas import topics
from schemas.arrivals import Arrival, Refused
from schemas.events.positions import POSITION_PREFIX
from schemas.topics import Topic
from sinks.postgres.batch import Batch, Record
from sinks.postgres.deletions import DELETIONS
from sinks.postgres.letters import dead_letter
from sinks.postgres.rows import HANDLERS

SINK = "sink-postgres"
READ = tuple(topic for topic in topics.TOPICS if SINK in topic.readers)
"""The topics that this sink copies."""


def read_batch(records: Iterable[Record], partitions: Mapping[str, int]) -> Batch:
    """The rows of records that come in the order of their offsets within each partition.

    partitions: topic -> how many it has.
    """
    batch = Batch()
    ledgers: dict[tuple[str, bytes], list[Record]] = {}
    for record in records:
        topic = topics.BY_NAME[record.topic]
        if topic is topics.DEAD_LETTERS:
            batch.put_once("dead_letters", dead_letter(record))
        elif topic.ledger:
            if _is_state(topic, record.key or b""):
                ledgers.setdefault((record.topic, record.key or b""), []).append(record)
        else:
            _read(batch, topic, record, partitions[record.topic])
    # Only the last state of a key counts; decoding those before it would be most of the work.
    for (name, _key), states in ledgers.items():
        for record in reversed(states):
            if _read(batch, topics.BY_NAME[name], record, partitions[name]):
                break
    return batch


def _is_state(topic: Topic, key: bytes) -> bool:
    """Whether a ledger's record has rows: it is no position and no state of a whole SKU."""
    if topic is topics.STOCK_LEVELS and key.endswith(b"|"):
        return False
    return not key.startswith(POSITION_PREFIX.encode())


def _read(batch: Batch, topic: Topic, record: Record, partitions: int) -> bool:
    """Add a record's rows; False if it was refused."""
    try:
        event = decode(topic, record.key, record.value)
        key = _key_of(topic, record)
        check_partition(key, record.partition, partitions)
    except Refused as refused:
        _refuse(batch, record, refused)
        return False
    at = Arrival(topic.name, record.partition, record.offset, from_millis(record.timestamp))
    if event is None:
        DELETIONS[topic.name](batch, key, at)
    elif (rows_of := HANDLERS.get(type(event))) is not None:
        rows_of(batch, event, at)
    return True


def _key_of(topic: Topic, record: Record) -> str:
    """The key as text, with as many parts as the topic's keys have (a deletion has no body)."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        raise Refused("wrong_key", f"the key {record.key!r} is not UTF-8") from None
    if not key or len(key.split("|")) != len(topic.key):
        raise Refused("wrong_key", f"the key is {key!r}, not {'|'.join(topic.key)}")
    return key


def _refuse(batch: Batch, record: Record, refused: Refused) -> None:
    """A dead letter, unless another reader of the topic is the one who writes those."""
    if topics.BY_NAME[record.topic].guard == SINK:
        batch.refused.append((record, refused))
    else:
        batch.skipped[record.topic] = batch.skipped.get(record.topic, 0) + 1
