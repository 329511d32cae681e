"""The fold: takes chunks, applies a rule, commits states, outputs and position as one.

What it promises, whatever is killed, frozen or cut off, whenever: each input record is applied
once, in the order of its partition, and everything its rule returned is in Kafka once. What it
asks for: the rule is a pure function, and every writer to the ledger is a fold of this name.

How: `docs/architecture.md` tells it in order. In short, per partition number: fence the previous
owner, read the ledger, go on at the ledger's `@position`; drop records below it, end the process
on a gap; one transaction a chunk; end the process when a transaction fails.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NoReturn

from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    ProducerFenced,
    RequestTimedOutError,
)
from faust.types import TP

from runtime.clock import from_millis
from runtime.codec import check_partition, dead_letter_headers, decode, encode
from runtime.errors import EXIT_UNAVAILABLE, Unavailable
from runtime.health import DEAD, RECORDS, TRANSACTIONS, Health
from runtime.kafka import new_consumer
from runtime.kafka import start as start_client
from runtime.logs import get_logger
from runtime.partitions import partition_count
from runtime.settings import Settings
from runtime.topic_admin import TopicInfo
from schemas.arrivals import Arrival, Refused
from schemas.events.positions import POSITION_PREFIX, InputPosition, Position, position_key
from schemas.topics import BY_NAME, Topic
from stream_processors.engine.chunks import Chunk
from stream_processors.engine.ledger import check_position, restore
from stream_processors.engine.outcome import Dead, Get, Out, Outcome
from stream_processors.engine.table import FoldTable
from stream_processors.engine.transaction import (
    RECORD_BYTES_MAX,
    Encoder,
    OnStep,
    Record,
    Writer,
)

log = get_logger(__name__)

EXIT_FENCED = 75
EXIT_FAILED = 71
TOO_LARGE = Refused(
    "too_large", f"the state or a fact after it would be larger than {RECORD_BYTES_MAX} bytes"
)
Rule = Callable[[Get, Any, Arrival], Outcome]


@dataclass(frozen=True, slots=True)
class FoldSpec:
    """What makes a fold this fold.

    name: of the fold, its consumer group and its transactions.
    inputs: co-partitioned topics. ledger: the topic of its table.
    rule: see `outcome`.
    merge: may join outputs of a chunk into fewer records; keeps the order within a key.
    chunk_max: records in one transaction at most.
    """

    name: str
    inputs: tuple[Topic, ...]
    ledger: Topic
    rule: Rule
    merge: Callable[[list[Out]], list[Out]] = lambda outs: outs
    chunk_max: int = 2_000


@dataclass(slots=True)
class Owned:
    """A partition number that this process holds.

    next: input topic -> the first offset not folded yet; None: from the topic's beginning.
    """

    number: int
    writer: Writer
    read_to: int = 0
    ready: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: dict[str, int] = field(default_factory=dict)


class Fold:
    """Runs a FoldSpec over the partitions that the consumer group gives to this process."""

    def __init__(
        self,
        spec: FoldSpec,
        table: FoldTable,
        settings: Settings,
        topics: dict[str, TopicInfo],
        health: Health,
        on_step: OnStep,
    ) -> None:
        self._spec = spec
        self._table = table
        self._settings = settings
        self._topics = topics
        self._health = health
        self._on_step = on_step
        self._encoder = Encoder(settings, spec.name)
        self._owned: dict[int, Owned] = {}
        self._assigning = asyncio.Lock()
        self._count = partition_count(
            spec.ledger, settings.sku_partitions, settings.order_partitions
        )

    # --- assignment -----------------------------------------------------------------------------

    async def quiet(self) -> None:
        """Wait until no transaction is in flight."""
        for owned in list(self._owned.values()):
            async with owned.lock:
                pass

    async def assign(self, numbers: set[int], current: Callable[[], bool]) -> dict[TP, int]:
        """Take over these partition numbers; returns where to read each input.

        All of them are fenced and read again, also those held before: while this process was
        frozen, another may have had them. Ledgers held already are read from where they were.
        Nothing is taken over once `current` says that a newer assignment has come.
        """
        async with self._assigning:
            for number in set(self._owned) - numbers:
                await self._give_up(number)
            for number in numbers:
                if not current():
                    return {}
                await self._fence(number)
            await self._restore(numbers)
            gc.freeze()  # the table stays: no need to look through it again and again
            return {
                TP(topic.name, number): self._owned[number].next[topic.name]
                for number in numbers
                for topic in self._spec.inputs
            }

    async def _give_up(self, number: int) -> None:
        owned = self._owned.pop(number)
        async with owned.lock:
            owned.ready = False
        await owned.writer.stop()
        self._table.drop(number)
        for topic in self._spec.inputs:
            self._health.lost(topic.name, number)

    async def _fence(self, number: int) -> None:
        writer = Writer(self._settings, self._spec.name, number, self._on_step)
        held = self._owned.get(number)
        if held is None:
            self._owned[number] = Owned(number, writer)
        else:
            async with held.lock:
                held.ready = False
            await held.writer.stop()
            held.writer = writer
        await writer.start()

    async def _restore(self, numbers: set[int]) -> None:
        read_from = {number: self._owned[number].read_to for number in numbers}
        restored = await restore(self._settings, self._spec.ledger, read_from)
        committed, begins = await self._group_offsets(numbers)
        for number, found in restored.items():
            owned = self._owned[number]
            self._table.load(number, found.states)
            for topic in self._spec.inputs:
                at = TopicPartition(topic.name, number)
                following = owned.next.get(topic.name)
                if found.position is not None or following is None:
                    following = check_position(
                        topic.name,
                        number,
                        found.position,
                        self._topics[topic.name].topic_id,
                        committed[at],
                    )
                owned.next[topic.name] = begins[at] if following is None else following
            owned.read_to = found.read_to
            owned.ready = True
            log.info("restored", partition=number, keys=len(found.states), next=owned.next)

    async def _group_offsets(
        self, numbers: set[int]
    ) -> tuple[dict[TopicPartition, int | None], dict[TopicPartition, int]]:
        """What the group has committed, and where each input begins."""
        consumer = new_consumer(self._settings, group_id=self._spec.name)
        await start_client(consumer, self._settings)
        try:
            partitions = [
                TopicPartition(topic.name, number)
                for topic in self._spec.inputs
                for number in numbers
            ]
            committed = {at: await consumer.committed(at) for at in partitions}
            return committed, await consumer.beginning_offsets(partitions)
        finally:
            await consumer.stop()

    # --- folding --------------------------------------------------------------------------------

    async def fold(self, chunk: Chunk) -> None:
        """Apply a chunk. Returns when it is committed; a failure ends the process.

        Cancelling the caller, as a rebalance does, does not cancel the transaction.
        """
        await asyncio.shield(asyncio.ensure_future(self._fold(chunk)))

    async def _fold(self, chunk: Chunk) -> None:
        owned = self._owned.get(chunk.tp.partition)
        if owned is None:
            return
        async with owned.lock:
            chunk.taken = True
            following = owned.next[chunk.tp.topic] if owned.ready else chunk.end
            if chunk.end <= following:
                return
            if chunk.start > following:
                self.fail(
                    f"Records {following} to {chunk.start - 1} of {chunk.tp.topic}/"
                    f"{chunk.tp.partition} never came"
                )
            try:
                await self._step(owned, chunk)
            except Exception as error:  # noqa: BLE001 - whatever it was, only a restart is safe
                self.fail(f"A transaction of {self._spec.name}/{owned.number} failed", error)

    async def _step(self, owned: Owned, chunk: Chunk) -> None:
        records = self._apply(chunk, owned.next[chunk.tp.topic])
        positions = owned.next | {chunk.tp.topic: chunk.end}
        records.append(self._position_record(owned.number, positions))
        offsets = {TopicPartition(*chunk.tp): chunk.end}
        ledger = TopicPartition(self._spec.ledger.name, owned.number)
        owned.read_to = await owned.writer.commit(records, offsets, ledger)
        owned.next = positions
        RECORDS.labels(chunk.tp.topic).inc(len(chunk.records))
        TRANSACTIONS.inc()

    def _apply(self, chunk: Chunk, following: int) -> list[Record]:
        """Fold a chunk into the table; returns what to write. Never awaits.

        The whole chunk at once; where something would be too large for Kafka, once more a record
        at a time, so that the one at fault can be refused.
        """
        fresh = [record for record in chunk.records if record.offset >= following]
        slices = self._apply_slice(chunk.tp.partition, fresh)
        if slices is not None:
            outs, states = slices
        else:
            outs, states = [], {}
            for record in fresh:
                one = self._apply_slice(chunk.tp.partition, [record])
                if one is None:
                    outs.append(self._refuse(record, TOO_LARGE))
                else:
                    outs += one[0]
                    states |= one[1]
        ledger = self._spec.ledger.name
        return outs + [
            Record(ledger, chunk.tp.partition, key.encode(), value) for key, value in states.items()
        ]

    def _apply_slice(
        self, partition: int, records: list[Any]
    ) -> tuple[list[Record], dict[str, bytes]] | None:
        """Outputs and encoded states; None, and nothing changed, where one is too large."""
        table = self._table
        rule, get = self._spec.rule, table.get
        table.begin(partition)
        outs: list[Out] = []
        refused: list[Record] = []
        for record in records:
            try:
                arrived = self._decode(record)
                if arrived is None:
                    continue
                outcome = rule(get, *arrived)
            except Refused as reason:
                refused.append(self._refuse(record, reason))
                continue
            except Exception as error:
                log.exception("rule_failed", topic=record.topic, offset=record.offset)
                refused.append(self._refuse(record, Refused("rule_failed", repr(error))))
                continue
            for key, state in outcome.states.items():
                table[key] = state
            outs += outcome.out
            refused += [self._give_up_on(dead) for dead in outcome.dead]
        written = [self._encoder.out(out) for out in self._spec.merge(outs)]
        states = {key: encode(state) for key, state in table.dirty().items()}
        sizes = (len(record.value or b"") for record in written)
        if max(chain(sizes, map(len, states.values())), default=0) > RECORD_BYTES_MAX:
            table.undo()
            return None
        table.accept()
        return written + refused, states

    def _decode(self, record: Any) -> tuple[Any, Arrival] | None:
        """The event and where it stands; None for what isn't one. Raises Refused."""
        topic = BY_NAME[record.topic]
        key: bytes | None = record.key
        if topic.ledger and key is not None and key.startswith(POSITION_PREFIX.encode()):
            return None
        event = decode(topic, key, record.value)
        text = (key or b"").decode()
        check_partition(text, record.partition, self._count)
        return event, _arrival(record, text)

    def _refuse(self, record: Any, refused: Refused) -> Record:
        DEAD.labels(record.topic, refused.reason).inc()
        headers = dead_letter_headers(_arrival(record, ""), refused, record.headers)
        return self._encoder.dead_letter(record.key, record.value, headers)

    def _give_up_on(self, dead: Dead) -> Record:
        DEAD.labels(dead.arrival.topic, dead.refused.reason).inc()
        headers = dead_letter_headers(dead.arrival, dead.refused)
        return self._encoder.dead_letter(dead.arrival.key.encode(), encode(dead.event), headers)

    def _position_record(self, number: int, positions: dict[str, int]) -> Record:
        position = Position(
            partition=number,
            inputs={
                topic: InputPosition(topic_id=self._topics[topic].topic_id, next=following)
                for topic, following in positions.items()
            },
        )
        return Record(
            self._spec.ledger.name, number, position_key(number).encode(), encode(position)
        )

    def next_of(self, tp: TP) -> int | None:
        """The first offset of an input not folded yet; None where it isn't ours."""
        owned = self._owned.get(tp.partition)
        return owned.next.get(tp.topic) if owned is not None and owned.ready else None

    def fail(self, sentence: str, error: BaseException | None = None) -> NoReturn:
        """End the process: whatever is unknown now, a restart reads from the ledger."""
        log.error("ends", why=sentence, exc_info=error)
        self._health.problem(f"{sentence}: {error!r}." if error else f"{sentence}.")
        self._health.write_status()
        os._exit(_exit_code(error))


def _exit_code(error: BaseException | None) -> int:
    """Told apart because only EXIT_FAILED, again at the same offset, needs a person."""
    if isinstance(error, ProducerFenced):
        return EXIT_FENCED
    away = (KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError, NodeNotReadyError)
    if isinstance(error, (Unavailable, TimeoutError, *away)):
        return EXIT_UNAVAILABLE
    return EXIT_FAILED


def _arrival(record: Any, key: str) -> Arrival:
    return Arrival(
        record.topic, record.partition, record.offset, from_millis(record.timestamp), key
    )
