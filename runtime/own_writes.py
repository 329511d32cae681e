"""Seeing one's own write: publish, then wait until the folds have written what came of it.

The ledger partition that an event changes has the number of the event's own partition, so a
reader that stands at its end before publishing sees the effect pass by: a state whose `cause`
has reached the event's offset, or a dead letter that names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from runtime.codec import Headers, decode, encode, event_headers
from runtime.errors import InventoryError
from runtime.kafka import Publisher, Receipt, new_consumer, publisher, start, unreachable
from runtime.settings import Settings
from runtime.topic_admin import describe_topics
from schemas.arrivals import Refused
from schemas.events.base import Event
from schemas.events.positions import POSITION_PREFIX, Position, position_key
from schemas.events.stock import Movement, StockMoved
from schemas.topics import (
    ALERT_COMMANDS,
    ALERT_STATES,
    BY_NAME,
    DEAD_LETTERS,
    ORDER_STATES,
    ORDERS,
    PRODUCTS,
    REORDER_POINTS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
    STOCK_MOVEMENTS,
    THRESHOLD_OVERRIDES,
    Topic,
    key_of,
)

WAIT_SECONDS = 2.0
"""Longer than a quiet system ever takes; under load the effect comes later all the same."""
# A fold's dead letters and states become visible together but on different partitions, so one
# may be read some milliseconds before the other.
GRACE_SECONDS = 0.3

LEDGER_OF = {
    ORDERS.name: ORDER_STATES,
    STOCK_COMMANDS.name: STOCK_LEVELS,
    PRODUCTS.name: STOCK_LEVELS,
    ALERT_COMMANDS.name: ALERT_STATES,
    THRESHOLD_OVERRIDES.name: ALERT_STATES,
    REORDER_POINTS.name: ALERT_STATES,
}
"""Topic -> the ledger of the fold that reads it first. Other topics go to sinks only."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record to publish, and the keys of the ledger that it may change."""

    topic: Topic
    key: str
    value: bytes | None
    headers: Headers
    states: tuple[str, ...] = ()


def write_of(topic: Topic, event: Event, source: str) -> Write:
    """An event as a write. Raises InventoryError where the event breaks its own model."""
    key, value = key_of(topic, event), encode(event)
    try:
        decode(topic, key.encode(), value)
    except Refused as refused:
        raise InventoryError(
            f"{refused.field or 'The event'} can't be taken: {refused.detail}.",
            remedy="Correct it and send it again; nothing was published.",
        ) from refused
    return Write(topic, key, value, event_headers(event, source), states_of(topic, event))


def deletion(topic: Topic, key: str) -> Write:
    """The end of a key on a compacted topic."""
    return Write(topic, key, None, [], (key,))


def states_of(topic: Topic, event: Any) -> tuple[str, ...]:
    """The keys in the ledger that an event changes; none where no fold reads its topic."""
    if topic.name not in LEDGER_OF:
        return ()
    if topic.group == "order":
        return (event.order_id,)
    fields = ("from_location_id", "to_location_id", "location_id")
    places = [getattr(event, name) for name in fields if hasattr(event, name)]
    return tuple(f"{event.sku}|{place}" for place in places or [""])


@dataclass(frozen=True, slots=True)
class Refusal:
    """A dead letter: who was refused, and why."""

    key: str
    reason: str
    detail: str
    field: str


@dataclass(slots=True)
class _Sent:
    write: Write
    receipt: Receipt
    passed_at: float | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Whose movements to collect: those of one order, on the partitions of its SKUs."""

    order_id: str
    skus: Sequence[str]


@dataclass(slots=True)
class OwnWrites:
    """Publishes once and then reads what comes of it, all within `wait` seconds.

    states: (ledger, key) -> the newest state seen since publishing.
    movements: (SKU, movement) of the order asked for.
    """

    settings: Settings
    publisher: Publisher
    consumer: AIOKafkaConsumer
    wait: float
    states: dict[tuple[str, str], Any] = field(default_factory=dict)
    movements: list[tuple[str, Movement]] = field(default_factory=list)
    _sent: dict[tuple[str, int, int], _Sent] = field(default_factory=dict)
    _positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    _watched: set[tuple[str, str]] = field(default_factory=set)
    _order_id: str | None = None
    _deadline: float = 0.0

    async def publish(self, writes: Sequence[Write], facts: Facts | None = None) -> None:
        """Publish; the wait begins when the broker has everything.

        Raises Mismatch where topics are missing or other than the settings say.
        """
        await self._stand_at_the_end(writes, facts)
        try:
            sent = [
                (
                    write,
                    await self.publisher.send_raw(
                        write.topic, write.key, write.value, write.headers
                    ),
                )
                for write in writes
            ]
            for write, future in sent:
                at = await self.publisher.delivered(future)
                self._sent[at.topic, at.partition, at.offset] = _Sent(write, at)
        except KafkaError as error:
            raise unreachable(self.settings) from error
        self._deadline = _now() + self.wait

    async def applied(self) -> bool:
        """Wait for every write: True when the folds are through, False when time ran out.

        Raises InventoryError with the reason where a write became a dead letter.
        """
        done = await self.until(lambda: all(map(self._settled, self._sent.values())))
        if refused := [sent.refusal for sent in self._sent.values() if sent.refusal]:
            raise _refused(refused, len(self._sent))
        return done

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Read on until the condition holds (True) or the time is over (False)."""
        while not condition():
            left = self._deadline - _now()
            if left <= 0:
                return False
            # Short, because a condition may also wait for time to pass.
            batches = await self.consumer.getmany(timeout_ms=max(1, int(min(left, 0.05) * 1000)))
            for records in batches.values():
                for record in records:
                    self._take(record)
        return True

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._deadline - _now())

    def state(self, ledger: Topic, key: str) -> Any:
        """The newest state of a key seen since publishing, or None."""
        return self.states.get((ledger.name, key))

    def _settled(self, sent: _Sent) -> bool:
        """Decided: refused, exactly ours in every state, or passed with no refusal in sight."""
        if sent.refusal is not None or not sent.write.states:
            return True
        ledger, receipt = LEDGER_OF[sent.receipt.topic].name, sent.receipt
        causes = [
            state.cause.get(receipt.topic, -1)
            for key in sent.write.states
            if (state := self.states.get((ledger, key))) is not None
        ]
        if len(causes) == len(sent.write.states) and set(causes) == {receipt.offset}:
            return True
        position = self._positions.get((ledger, receipt.partition))
        reached = position.inputs.get(receipt.topic) if position is not None else None
        if max(causes, default=-1) < receipt.offset and (
            reached is None or reached.next <= receipt.offset
        ):
            return False
        if sent.passed_at is None:
            sent.passed_at = _now()
        return _now() - sent.passed_at >= GRACE_SECONDS

    async def _stand_at_the_end(self, writes: Sequence[Write], facts: Facts | None) -> None:
        wanted = {TopicPartition(DEAD_LETTERS.name, 0)}
        for write in writes:
            if write.states:
                ledger = LEDGER_OF[write.topic.name]
                partition = self.publisher.partition_of(write.topic, write.key)
                wanted.add(TopicPartition(ledger.name, partition))
                self._watched.update((ledger.name, key) for key in write.states)
        if facts is not None:
            self._order_id = facts.order_id
            for sku in facts.skus:
                partition = self.publisher.partition_of(STOCK_MOVEMENTS, sku)
                wanted.add(TopicPartition(STOCK_MOVEMENTS.name, partition))
        topics = {write.topic.name for write in writes} | {at.topic for at in wanted}
        await describe_topics(self.settings, [BY_NAME[name] for name in topics])
        self.consumer.assign(sorted(wanted))
        try:
            ends = await self.consumer.end_offsets(sorted(wanted))
        except KafkaError as error:
            raise unreachable(self.settings) from error
        for at, end in ends.items():
            self.consumer.seek(at, end)

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        if record.topic == DEAD_LETTERS.name:
            self._take_dead_letter(record)
        elif record.value is None or record.key is None:
            return
        elif record.topic == STOCK_MOVEMENTS.name:
            self._take_facts(record.value)
        else:
            self._take_state(record.topic, record.partition, record.key.decode(), record.value)

    def _take_state(self, ledger: str, partition: int, key: str, value: bytes) -> None:
        if key == position_key(partition):
            self._positions[ledger, partition] = msgspec.json.decode(value, type=Position)
        elif (ledger, key) in self._watched and not key.startswith(POSITION_PREFIX):
            self.states[ledger, key] = decode(BY_NAME[ledger], key.encode(), value)

    def _take_facts(self, value: bytes) -> None:
        # Most records are of others: look before decoding.
        if self._order_id is None or encode(self._order_id) not in value:
            return
        fact = msgspec.json.decode(value, type=StockMoved)
        self.movements += [
            (fact.sku, movement)
            for movement in fact.movements
            if movement.order_id == self._order_id
        ]

    def _take_dead_letter(self, record: ConsumerRecord[bytes, bytes]) -> None:
        headers = first_headers(record.headers)
        at = (headers.get("dl_topic", ""), *_numbers(headers))
        if (sent := self._sent.get(at)) is not None:
            sent.refusal = Refusal(
                key=sent.write.key,
                reason=headers.get("dl_reason", ""),
                detail=headers.get("dl_detail", ""),
                field=headers.get("dl_field", ""),
            )


@asynccontextmanager
async def own_writes(
    settings: Settings, source: str, wait: float = WAIT_SECONDS
) -> AsyncIterator[OwnWrites]:
    """A publisher that sees what comes of its writes. Raises Unavailable without a broker."""
    async with publisher(settings, source) as sender:
        consumer = new_consumer(settings, fetch_max_wait_ms=20)
        await start(consumer, settings)
        # aiokafka cancels whoever stops a consumer before its tasks have begun.
        await asyncio.sleep(0)
        try:
            yield OwnWrites(settings, sender, consumer, wait)
        finally:
            await consumer.stop()


def first_headers(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Headers by name. A name may come twice: the first stands for the record itself."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name, value.decode(errors="replace"))
    return found


def _numbers(headers: dict[str, str]) -> tuple[int, int]:
    try:
        return int(headers["dl_partition"]), int(headers["dl_offset"])
    except (KeyError, ValueError):
        return -1, -1


def _refused(refusals: Sequence[Refusal], written: int) -> InventoryError:
    first = refusals[0]
    where = f" ({first.field})" if first.field else ""
    others = written - len(refusals)
    tail = f" {others} of {written} were not refused." if others else ""
    return InventoryError(
        f"{first.key} was refused: {first.reason}{where}: {first.detail}.{tail}",
        remedy="'inventory dead-letters list' keeps it; correct it and send it again.",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
