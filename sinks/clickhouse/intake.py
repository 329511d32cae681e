"""From Kafka's records to a batch: decodes, and sets aside what cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from runtime.clock import from_millis
from runtime.codec import check_partition, dead_letter_headers, decode
from runtime.health import DEAD, RECORDS
from runtime.kafka import unreachable
from runtime.logs import get_logger
from runtime.settings import Settings
from runtime.topic_admin import TopicInfo
from schemas.arrivals import Arrival, Refused
from schemas.topics import DEAD_LETTERS
from sinks.clickhouse.batch import Batch, is_copied
from sinks.clickhouse.rows import BY_TOPIC, COPIES, Copy

WORKER = "sink-clickhouse"
# The topics whose bad records become dead letters here, and nowhere else.
GUARDED = frozenset(copy.topic.name for copy in COPIES if copy.topic.guard == WORKER)
log = get_logger(__name__)


class Intake:
    """Fills a batch. Records that don't decode are counted; where this sink is the topic's guard
    they also become dead letters, which `bury` publishes before any position moves on.
    """

    def __init__(
        self, settings: Settings, infos: dict[str, TopicInfo], producer: AIOKafkaProducer
    ) -> None:
        self._settings = settings
        self._infos = infos
        self._producer = producer
        self._dead: list[tuple[ConsumerRecord, Refused]] = []
        self._latest: dict[tuple[str, bytes | None], list[ConsumerRecord]] = {}

    @property
    def waiting(self) -> int:
        """Keys whose current state `finish` will add."""
        return len(self._latest)

    def take(self, topic: str, records: Sequence[ConsumerRecord], batch: Batch) -> None:
        """Facts go into the batch at once, current states wait for `finish`."""
        copy = BY_TOPIC[topic]
        copied = [record for record in records if is_copied(copy, record.key)]
        for record in copied:
            if copy.table.key:
                self._latest.setdefault((topic, record.key), []).append(record)
            else:
                self._add(copy, record, batch)
        RECORDS.labels(topic).inc(len(copied))

    def finish(self, batch: Batch) -> None:
        """Of current states only the last of a key that can be read counts: decode no others."""
        for (topic, _key), records in self._latest.items():
            while records and not self._add(BY_TOPIC[topic], records.pop(), batch):
                pass
        self._latest.clear()

    def _add(self, copy: Copy, record: ConsumerRecord, batch: Batch) -> bool:
        arrival = _arrival(record)
        try:
            batch.add(self._decode(copy, record, arrival), arrival)
        except Refused as refused:
            self._refuse(copy, record, refused)
            return False
        return True

    def _decode(self, copy: Copy, record: ConsumerRecord, arrival: Arrival) -> Any:
        event = decode(copy.topic, record.key, record.value)
        if record.topic in GUARDED:
            partitions = self._infos[copy.topic.name].partitions
            check_partition(arrival.key, record.partition, partitions)
        return event

    def _refuse(self, copy: Copy, record: ConsumerRecord, refused: Refused) -> None:
        DEAD.labels(copy.topic.name, refused.reason).inc()
        log.warning(
            "record_refused",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=refused.reason,
            detail=refused.detail,
        )
        if record.topic in GUARDED:
            self._dead.append((record, refused))

    async def bury(self) -> None:
        """Publish the dead letters; raises Unavailable where Kafka doesn't take them."""
        letters, self._dead = self._dead, []
        try:
            sent = [
                await self._producer.send(
                    DEAD_LETTERS.name,
                    record.value,
                    record.key,
                    partition=0,
                    headers=dead_letter_headers(_arrival(record), refused, record.headers),
                )
                for record, refused in letters
            ]
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise unreachable(self._settings) from error


def _arrival(record: ConsumerRecord) -> Arrival:
    return Arrival(
        record.topic,
        record.partition,
        record.offset,
        from_millis(record.timestamp),
        (record.key or b"").decode(errors="replace"),
    )
