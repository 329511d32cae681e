"""Copies facts and states from Kafka to PostgreSQL, each exactly once.

Rows and positions go in one transaction, so PostgreSQL itself says what it has; the group's
offsets are for tools that show lag. Where a server is away the sink waits, for ever.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from runtime.clock import from_millis, now, to_millis
from runtime.codec import dead_letter_headers
from runtime.errors import Mismatch, Unavailable
from runtime.health import DEAD, RECORDS, TRANSACTIONS, Health
from runtime.kafka import close, new_consumer, new_producer, start, unreachable
from runtime.logs import get_logger
from runtime.running import run_worker
from runtime.settings import Settings
from runtime.topic_admin import DEAD_LETTER_BYTES_MAX, describe_topics
from schemas.arrivals import Arrival, Refused
from schemas.topics import DEAD_LETTERS
from sinks.postgres.batch import Batch, Record
from sinks.postgres.database import AWAY, UNSTORABLE, unavailable
from sinks.postgres.reading import READ, SINK, read_batch
from sinks.postgres.store import Move, Place, Store

BATCH_RECORDS = 5_000
_POLL_MS = 100
_AUDIT_SECONDS = 1.0
_SILENCE_MS = 5_000
log = get_logger(__name__)


def main(settings: Settings) -> None:
    """Copy until SIGTERM or SIGINT. Raises Mismatch where store and topics do not fit."""
    # Rows make no cycles, and looking for some at the usual pace takes a fifth of all time.
    gc.set_threshold(100_000)
    run_worker(settings, SINK, run)


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Copy until `stop` is set."""
    retry = _Retry(health, stop)
    while not stop.is_set():
        consumer = new_consumer(
            settings,
            group_id=SINK,
            group_instance_id=settings.instance or None,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
        )
        producer = new_producer(settings, max_request_size=DEAD_LETTER_BYTES_MAX)
        try:
            await start(consumer, settings)
            await start(producer, settings)
            await Sink(settings, health, stop, consumer, producer).copy()
        except Unavailable as error:
            await retry.after(error)
        finally:
            await close(consumer, producer)


class _Retry:
    """Waits between attempts, longer each time, and says why."""

    def __init__(self, health: Health, stop: asyncio.Event) -> None:
        self._health = health
        self._stop = stop
        self._failures = 0

    async def after(self, error: Unavailable) -> None:
        if not self._failures:
            log.warning("waiting", problem=str(error))
        self._health.problem(f"{error} Waiting for it.")
        seconds = min(0.1 * 2**self._failures, 5)
        self._failures += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), timeout=seconds)

    def over(self) -> None:
        if self._failures:
            log.info("goes_on", failures=self._failures)
            self._failures = 0
        self._health.problem("")


class Sink(ConsumerRebalanceListener):
    """One consumer and one store. Positions belong to the store."""

    def __init__(
        self,
        settings: Settings,
        health: Health,
        stop: asyncio.Event,
        consumer: Any,
        producer: Any,
    ) -> None:
        self._settings = settings
        self._health = health
        self._stop = stop
        self._consumer = consumer
        self._producer = producer
        self._store = Store(settings)
        self._retry = _Retry(health, stop)
        self._writing = asyncio.Lock()
        self._stale = True
        self._next: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._partitions: dict[str, int] = {}
        self._audited_at = 0.0
        self._taken_over_ms = 0

    async def on_partitions_revoked(self, _revoked: Sequence[TopicPartition]) -> None:
        # Whoever gets them reads the store's positions: a batch under way comes before that.
        async with self._writing:
            self._stale = True

    async def on_partitions_assigned(self, _assigned: Sequence[TopicPartition]) -> None:
        self._stale = True

    async def copy(self) -> None:
        """Copy until stopped. Raises Unavailable where Kafka has to be connected anew."""
        self._consumer.subscribe([topic.name for topic in READ], listener=self)
        try:
            while not self._stop.is_set():
                if self._stale:
                    await self._take_over()
                else:
                    await self._copy_some()
        finally:
            await self._store.close()

    async def _take_over(self) -> None:
        """After an assignment: go where the store stands, not where the group's offsets are."""
        self._stale = False
        owned = [Place(*tp) for tp in self._consumer.assignment()]
        try:
            infos = await describe_topics(self._settings, READ)
            found = await self._store.begin({p: infos[p.topic].topic_id for p in owned})
            ends = await self._consumer.end_offsets([TopicPartition(*p) for p in owned])
        except (*AWAY, KafkaError, Unavailable) as error:
            self._stale = True
            await self._retry.after(_sentence(error, self._settings))
            return
        self._retry.over()
        if self._stale:
            return
        for place, position in found.items():
            end = ends[TopicPartition(*place)]
            if position > end:
                raise Mismatch(
                    f"PostgreSQL has copied {place.topic}/{place.partition} up to {position}, "
                    f"but it ends at {end}: Kafka has lost records.",
                    remedy="Run 'inventory rebuild postgres' to copy what Kafka has.",
                )
            self._consumer.seek(TopicPartition(*place), position)
        for place in self._next.keys() - found.keys():
            self._health.lost(*place)
        self._partitions = {name: info.partitions for name, info in infos.items()}
        self._next = found
        self._taken_over_ms = to_millis(now())
        self._ends = {place: ends[TopicPartition(*place)] for place in found}
        self._report()
        self._health.ready(bool(owned))

    async def _copy_some(self) -> None:
        """Fetch what is there and store it."""
        try:
            for place, position in self._next.items():
                if await self._consumer.position(TopicPartition(*place)) != position:
                    raise Mismatch(
                        f"The consumer left {place.topic}/{place.partition} at {position}: "
                        "records would be missing.",
                        remedy="Started again, this sink goes on from where the store stands.",
                    )
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=BATCH_RECORDS)
            ends = {p: await self._consumer.position(TopicPartition(*p)) for p in self._next}
        except IllegalStateError:  # a rebalance has taken the partition meanwhile
            self._stale = True
            return
        moves = [Move(p, self._next[p], end) for p, end in ends.items() if end != self._next[p]]
        records = [record for chunk in fetched.values() for record in chunk]
        if moves:
            await self._store_all(records, moves)
        else:
            await self._audit()

    async def _store_all(self, records: Sequence[Record], moves: list[Move]) -> None:
        """Store records and positions; tries until done, stopped, or rebalanced."""
        batch = read_batch(records, self._partitions)
        unsent, unstorable = batch.refused, False
        while not self._stop.is_set():
            try:
                # A rebalance waits for this lock, so it isn't held while waiting for a server.
                async with self._writing:
                    if self._stale:
                        return
                    if unstorable:
                        unsent = await self._store.find_unstorable(records, self._partitions)
                        bad = {id(record) for record, _ in unsent}
                        records = [record for record in records if id(record) not in bad]
                        batch = read_batch(records, self._partitions)
                    await self._send_dead_letters(unsent)
                    unsent, unstorable = [], False
                    await self._store.write(batch, moves)
            except UNSTORABLE as error:
                log.warning("unstorable", error=str(error))
                unstorable = True
            except (*AWAY, KafkaError, Unavailable) as error:
                await self._wait(error)
            else:
                await self._done(records, moves, batch)
                return

    async def _send_dead_letters(self, refused: Sequence[tuple[Record, Refused]]) -> None:
        """Before the position moves past them: a letter may come twice, but never not at all."""
        sent = []
        for record, why in refused:
            at = Arrival(
                record.topic, record.partition, record.offset, from_millis(record.timestamp)
            )
            headers = dead_letter_headers(at, why, record.headers)
            sent.append(
                await self._producer.send(
                    DEAD_LETTERS.name, record.value, record.key, partition=0, headers=headers
                )
            )
            DEAD.labels(record.topic, why.reason).inc()
        await asyncio.gather(*sent)

    async def _done(self, records: Sequence[Record], moves: list[Move], batch: Batch) -> None:
        self._retry.over()
        for move in moves:
            self._next[move.place] = move.new
        for topic, count in Counter(record.topic for record in records).items():
            RECORDS.labels(topic).inc(count)
        for topic, count in batch.skipped.items():
            DEAD.labels(topic, "refused_by_guard").inc(count)
        TRANSACTIONS.inc()
        self._report()
        if self._audit_is_due():
            await self._commit_group_offsets()

    async def _audit(self) -> None:
        """Nothing came: once a second make sure that both servers are still there and agree."""
        if not self._audit_is_due():
            return
        try:
            self._check_kafka_answers()
            if await self._store.positions(list(self._next)) != self._next:
                raise Mismatch(
                    "Another sink, or a rebuild, has moved PostgreSQL's positions.",
                    remedy="Started again, this sink goes on from where the store stands now.",
                )
        except (*AWAY, Unavailable) as error:
            await self._wait(error)
            return
        self._retry.over()
        self._report()
        await self._commit_group_offsets()

    def _audit_is_due(self) -> bool:
        seconds = asyncio.get_running_loop().time()
        due = seconds - self._audited_at >= _AUDIT_SECONDS
        if due:
            self._audited_at = seconds
        return due

    def _check_kafka_answers(self) -> None:
        held = self._consumer.assignment()
        heard = [self._consumer.last_poll_timestamp(partition) or 0 for partition in held]
        if held and to_millis(now()) - max(*heard, self._taken_over_ms) > _SILENCE_MS:
            raise unreachable(self._settings)

    async def _commit_group_offsets(self) -> None:
        """For tools that show lag; nothing here reads them."""
        offsets = {TopicPartition(*place): position for place, position in self._next.items()}
        with suppress(KafkaError, TimeoutError):
            if offsets:
                await asyncio.wait_for(self._consumer.commit(offsets), timeout=2)

    async def _wait(self, error: BaseException) -> None:
        await self._retry.after(_sentence(error, self._settings))
        for place in self._next:
            self._health.waiting(*place)

    def _report(self) -> None:
        for partition in self._consumer.assignment():
            place = Place(*partition)
            if place in self._next:
                end = self._consumer.last_stable_offset(partition) or self._ends[place]
                self._health.moved(*place, self._next[place], max(end - self._next[place], 0))


def _sentence(error: BaseException, settings: Settings) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, KafkaError):
        return unreachable(settings)
    return unavailable(error)
