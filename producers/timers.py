"""The `timers` worker: says when time has passed, so that the folds need no clock.

The ledgers of orders and alerts say what waits until when. What is due is published at least
once; the folds ignore what their states no longer wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from producers.agenda import Agenda
from runtime.clock import Clock, now, to_millis
from runtime.errors import Mismatch, Unavailable
from runtime.health import RECORDS, Health
from runtime.kafka import Publisher, client_options, close, new_consumer, start, unreachable
from runtime.logs import get_logger
from runtime.running import run_worker
from runtime.settings import Settings
from runtime.topic_admin import describe_topics
from schemas.events.alerts import RecheckAlert
from schemas.events.base import Event
from schemas.events.orders import OrderExpire
from schemas.events.positions import POSITION_PREFIX
from schemas.topics import ALERT_COMMANDS, ALERT_STATES, ORDER_STATES, ORDERS, Topic

TIMERS = "timers"
# Long enough for a fold to restart; saying it again does no harm.
REPEAT_AFTER = timedelta(seconds=60)
BATCH = 1_000
_POLL_SECONDS = 0.5
_SILENCE_MS = 5_000
_RETRY_SECONDS = 1.0
_SEND_SECONDS = 5.0
log = get_logger(__name__)


def main(settings: Settings) -> None:
    """Publish what is due until SIGTERM or SIGINT. Raises Mismatch where topics do not fit."""
    run_worker(settings, TIMERS, run)


async def run(settings: Settings, health: Health, stop: asyncio.Event, clock: Clock = now) -> None:
    """Publish what is due until `stop` is set. Where Kafka is away, wait for it."""
    waits = False
    while not stop.is_set():
        timers = Timers(settings, health, stop, clock)
        try:
            await timers.run()
        except (Unavailable, KafkaError) as error:
            away = error if isinstance(error, Unavailable) else unreachable(settings)
            if timers.connected or not waits:
                log.warning("waiting", problem=str(away), error=repr(error))
            waits = True
            health.problem(f"{away} Waiting for it.")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=_RETRY_SECONDS)


# --- what is said ---------------------------------------------------------------------------------


def expire(order_id: str, due_at: datetime, at: datetime) -> OrderExpire:
    """An order has waited until its due_at."""
    return OrderExpire(
        id=f"{order_id}/expire/{due_at.isoformat()}",
        occurred_at=at,
        by=TIMERS,
        order_id=order_id,
        due_at=due_at,
    )


def recheck(key: str, due_at: datetime, at: datetime) -> RecheckAlert:
    """The alert of a `sku|location` has waited until its due_at."""
    sku, _, location_id = key.partition("|")
    return RecheckAlert(
        id=f"{key}/recheck/{due_at.isoformat()}",
        occurred_at=at,
        by=TIMERS,
        sku=sku,
        location_id=location_id,
        due_at=due_at,
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What is said about a ledger's keys, and where."""

    topic: Topic
    make: Callable[[str, datetime, datetime], Event]


SAID: Mapping[str, Said] = {
    ORDER_STATES.name: Said(ORDERS, expire),
    ALERT_STATES.name: Said(ALERT_COMMANDS, recheck),
}
LEDGERS = (ORDER_STATES, ALERT_STATES)


class _Waiting(msgspec.Struct):
    """All that matters here of a state."""

    due_at: datetime | None = None


_decode = msgspec.json.Decoder(_Waiting).decode


# --- the shell ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Book:
    """What one partition of a ledger waits for. end: where the ledger ended at assignment."""

    agenda: Agenda
    end: int
    position: int = 0

    @property
    def whole(self) -> bool:
        """Read to the end: before that, what is due may have been overtaken by a later state."""
        return self.position >= self.end


class Timers(ConsumerRebalanceListener):
    """One connection to Kafka. What it knows, it has read from the ledgers."""

    def __init__(
        self, settings: Settings, health: Health, stop: asyncio.Event, clock: Clock
    ) -> None:
        self._settings = settings
        self._health = health
        self._stop = stop
        self._clock = clock
        self._consumer = new_consumer(
            settings,
            group_id=TIMERS,
            group_instance_id=settings.instance or None,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
        # Not idempotent: such a producer never gives up, and saying it twice does no harm.
        self._producer = AIOKafkaProducer(
            **client_options(settings),
            acks="all",
            max_batch_size=256 * 1024,
            request_timeout_ms=int(_SEND_SECONDS * 1000),
        )
        self._publisher = Publisher(settings, f"/{TIMERS}", self._producer)
        self._books: dict[TopicPartition, _Book] = {}
        self._stale = False
        self._taken_over_ms = 0
        self.connected = False

    async def on_partitions_revoked(self, _revoked: Sequence[TopicPartition]) -> None:
        self._stale = True

    async def on_partitions_assigned(self, _assigned: Sequence[TopicPartition]) -> None:
        self._stale = True

    async def run(self) -> None:
        """Raises Unavailable or KafkaError where Kafka has to be connected anew."""
        try:
            await describe_topics(self._settings, [*LEDGERS, ORDERS, ALERT_COMMANDS])
            await start(self._producer, self._settings)
            await start(self._consumer, self._settings)
            self._consumer.subscribe([ledger.name for ledger in LEDGERS], listener=self)
            while not self._stop.is_set():
                if self._stale:
                    await self._take_over()
                await self._read()
                await self._say_what_is_due()
        finally:
            self._health.ready(False)
            self._forget()
            await close(self._consumer, self._producer)

    def _forget(self) -> None:
        for partition in self._books:
            self._health.lost(partition.topic, partition.partition)
        self._books = {}

    async def _take_over(self) -> None:
        """After an assignment: read the ledgers anew, from their beginnings."""
        self._stale = False
        self._forget()
        held = sorted(self._consumer.assignment())
        begins = await self._consumer.beginning_offsets(held)
        ends = await self._consumer.end_offsets(held)
        try:
            for partition in held:
                self._consumer.seek(partition, begins[partition])
        except IllegalStateError:  # a rebalance has taken it meanwhile
            self._stale = True
            return
        self._books = {p: _Book(Agenda(REPEAT_AFTER), ends[p]) for p in held}
        self._taken_over_ms = to_millis(now())
        self.connected = True
        self._health.problem("")
        log.info("reads_ledgers", partitions=len(held))

    async def _read(self) -> None:
        """Wait for news, but not longer than until something is due."""
        fetched = await self._consumer.getmany(timeout_ms=self._patience_ms())
        for partition, records in fetched.items():
            if (book := self._books.get(partition)) is not None:
                for record in records:
                    _note(book.agenda, record)
                RECORDS.labels(partition.topic).inc(len(records))
        try:
            for partition, book in self._books.items():
                book.position = await self._consumer.position(partition)
                end = self._consumer.last_stable_offset(partition) or book.end
                lag = max(end - book.position, 0)
                self._health.moved(partition.topic, partition.partition, book.position, lag)
        except IllegalStateError:  # a rebalance has taken it meanwhile
            self._stale = True
        if self._books:
            self._health.ready(all(book.whole for book in self._books.values()))
        self._check_kafka_answers()

    def _patience_ms(self) -> int:
        read = [book.agenda.next_at() for book in self._books.values() if book.whole]
        times = [at for at in read if at is not None]
        seconds = (min(times) - self._clock()).total_seconds() if times else _POLL_SECONDS
        return int(1000 * min(max(seconds, 0), _POLL_SECONDS))

    def _check_kafka_answers(self) -> None:
        """The consumer itself says nothing when its broker is gone."""
        heard = [self._consumer.last_poll_timestamp(p) or 0 for p in self._consumer.assignment()]
        if heard and to_millis(now()) - max(*heard, self._taken_over_ms) > _SILENCE_MS:
            raise unreachable(self._settings)

    async def _say_what_is_due(self) -> None:
        """Publish a batch of it; the next call goes on, after a look at the ledgers."""
        at = self._clock()
        sent = []
        for partition, book in self._books.items():
            said = SAID[partition.topic]
            for key, due_at in book.agenda.take(at, BATCH) if book.whole else ():
                event = said.make(key, due_at, at)
                sent.append(await self._publisher.send_soon(said.topic, event))
        if not sent:
            return
        done, late = await asyncio.wait(sent, timeout=_SEND_SECONDS)
        failures = [error for future in done if (error := future.exception()) is not None]
        if late or failures:
            raise failures[0] if failures else unreachable(self._settings)


def _note(agenda: Agenda, record: Any) -> None:
    """Enter what a ledger's record waits for. Raises Mismatch where it is no state."""
    key = record.key.decode()
    if key.startswith(POSITION_PREFIX):
        return
    try:
        agenda.put(key, None if record.value is None else _decode(record.value).due_at)
    except msgspec.MsgspecError as error:
        raise Mismatch(
            f"{record.topic}/{record.partition} holds no state at offset {record.offset}: {error}.",
            remedy="Only folds write ledgers; restore the topic.",
        ) from error
