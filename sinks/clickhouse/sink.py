"""The worker `sink-clickhouse`: copies facts and current states from topics to ClickHouse.

The order of each step: rows, sums, positions in ClickHouse, then the group's offsets. Whatever ends
in between is copied again and collapses by key. Positions belong to ClickHouse; the group's offsets
only show the lag to tools, so losing them changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from runtime.errors import Unavailable
from runtime.health import TRANSACTIONS, Health
from runtime.kafka import close, new_consumer, new_producer, start
from runtime.logs import get_logger
from runtime.running import run_worker
from runtime.settings import Settings
from runtime.topic_admin import TopicInfo, describe_topics
from schemas.topics import DEAD_LETTERS
from sinks.clickhouse.batch import Batch, Stale
from sinks.clickhouse.intake import WORKER, Intake
from sinks.clickhouse.link import Link, Stopped
from sinks.clickhouse.migrate import to_apply
from sinks.clickhouse.rows import BY_TOPIC, COPIES
from sinks.clickhouse.store import Epoch, Position, Store

BATCH_ROWS = 25_000
# How long a batch waits for more records after its first: one insert takes as long as many.
BATCH_SECONDS = 0.4
# Records decoded between two looks at the network: some 50 ms.
POLL_RECORDS = 2_000
# While catching up sums are computed this often, and never more than a third of the time.
REFRESH_SECONDS = 1.5
REFRESH_SHARE = 2.0
EPOCH_SECONDS = 1.0
# While ClickHouse is away nothing is polled for hours, and that must not cost the partitions.
POLL_INTERVAL_MS = 7 * 86_400_000

log = get_logger(__name__)


class Rebuilt(Exception):
    """ClickHouse was emptied, or is about to be: begin anew."""


class Sink(ConsumerRebalanceListener):
    """Copies until told to stop."""

    def __init__(self, settings: Settings, health: Health, stopping: asyncio.Event) -> None:
        self._settings = settings
        self._health = health
        self._link = Link(settings, health, stopping, self._standing_still)
        self._infos: dict[str, TopicInfo] = {}
        self._consumer: AIOKafkaConsumer = None
        self._epoch = Epoch(0, "", False)
        self._epoch_seen_at = 0.0
        self._saved: Position = {}

    async def run(self) -> None:
        """Copy until `stop`, from the beginning again after each rebuild.

        Raises Mismatch where topics, ClickHouse and this program don't belong together.
        """
        topics = [*(copy.topic for copy in COPIES), DEAD_LETTERS]
        self._infos = await describe_topics(self._settings, topics)
        try:
            with suppress(Stopped):
                while not self._link.stopping:
                    self._epoch = await self._link.do(self._begin)
                    with suppress(Rebuilt):
                        await self._copy_epoch()
        finally:
            await self._link.close()

    async def _begin(self, store: Store) -> Epoch:
        """See that this ClickHouse may be filled now, from these topics, by this program."""
        if await to_apply(store.client):
            raise Unavailable(
                "ClickHouse's schema is older than this program.", remedy="Run 'inventory migrate'."
            )
        epoch = await store.epoch()
        if epoch.emptying:
            raise Unavailable(
                "A rebuild of ClickHouse has begun and not ended.",
                remedy="Wait for it, or run 'inventory rebuild clickhouse' again.",
            )
        await store.accept_topics({name: self._infos[name].topic_id for name in BY_TOPIC})
        self._saved = await store.positions(epoch)
        return epoch

    async def _copy_epoch(self) -> None:
        session = self._settings.session_timeout_ms
        self._consumer = new_consumer(
            self._settings,
            group_id=WORKER,
            group_instance_id=self._settings.instance or None,
            max_poll_interval_ms=POLL_INTERVAL_MS,
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 3,
        )
        producer = new_producer(self._settings)
        try:
            await start(producer, self._settings)
            await start(self._consumer, self._settings)
            self._consumer.subscribe(list(BY_TOPIC), listener=self)
            await self._copy(Intake(self._settings, self._infos, producer))
        finally:
            self._health.ready(False)
            await close(self._consumer, producer)

    # --- the loop --------------------------------------------------------------------------------

    async def _copy(self, intake: Intake) -> None:
        """Insert while collecting the next batch; settle when quiet, or when it is time."""
        stale = Stale()
        positions: Position = {}
        writing = asyncio.create_task(self._write(intake, Batch()))
        settle_at = 0.0
        while not self._link.stopping:
            await self._check_epoch()
            wait = settle_at - time.monotonic() if positions else BATCH_SECONDS
            batch, moved, backlog = await self._collect(intake, max(wait, 0.0))
            stale.days |= await writing
            writing = asyncio.create_task(self._write(intake, batch))
            stale.add(batch.stale)
            positions |= moved
            if positions and time.monotonic() >= settle_at:
                stale.days |= await writing
                took = await self._settle(stale, positions)
                pause = max(REFRESH_SHARE * took, REFRESH_SECONDS if backlog else 0.0)
                settle_at = time.monotonic() + pause
                stale, positions = Stale(), {}
            await self._report(positions)
        stale.days |= await writing
        await self._settle(stale, positions)

    async def _collect(self, intake: Intake, wait: float) -> tuple[Batch, Position, bool]:
        """What comes in a short while, how far reading has come, and whether there is a backlog."""
        batch = Batch()
        full = False
        ends_at: float | None = None
        while not self._link.stopping and not full:
            seconds = wait if ends_at is None else max(ends_at - time.monotonic(), 0.0)
            found = await self._consumer.getmany(
                timeout_ms=int(1000 * seconds), max_records=POLL_RECORDS
            )
            for at, records in found.items():
                intake.take(at.topic, records, batch)
            full = batch.rows + intake.waiting >= BATCH_ROWS
            if ends_at is None:
                ends_at = time.monotonic() + BATCH_SECONDS
            if not found or time.monotonic() >= ends_at:
                break
            # Decoding took a while: heartbeats and the running insert come first now.
            await asyncio.sleep(0)
        intake.finish(batch)
        moved = {}
        for at in self._consumer.assignment():
            following = await self._consumer.position(at)
            if following > self._saved.get((at.topic, at.partition), 0):
                moved[at.topic, at.partition] = following
        return batch, moved, full

    async def _write(self, intake: Intake, batch: Batch) -> set[str]:
        """Rows into ClickHouse; returns the days whose sums change because products moved."""

        async def write(store: Store) -> set[str]:
            days = await store.days_that_move(batch.products())
            await store.write(batch)
            return days

        await intake.bury()
        return await self._link.do(write) if batch.records else set()

    async def _settle(self, stale: Stale, positions: Position) -> float:
        """Bring the sums up to date, then remember how far the copy is; returns the seconds."""

        async def settle(store: Store) -> None:
            await store.refresh(stale)
            await store.save_positions(self._epoch, positions)

        began = time.monotonic()
        await self._link.do(settle)
        self._saved |= positions
        await self._commit(positions)
        TRANSACTIONS.inc()
        return time.monotonic() - began

    async def _commit(self, positions: Position) -> None:
        mine = self._consumer.assignment()
        offsets = {
            TopicPartition(*at): following
            for at, following in positions.items()
            if TopicPartition(*at) in mine
        }
        try:
            if offsets:
                await self._consumer.commit(offsets)
        except KafkaError as error:
            # They are for tools; ClickHouse has the positions that count.
            log.warning("offsets_not_committed", error=repr(error))

    async def _check_epoch(self) -> None:
        if time.monotonic() - self._epoch_seen_at < EPOCH_SECONDS:
            return
        epoch = await self._link.do(lambda store: store.epoch())
        self._epoch_seen_at = time.monotonic()
        if epoch != self._epoch:
            log.info("rebuilt", before=self._epoch.number, now=epoch.number)
            raise Rebuilt

    # --- how it is -------------------------------------------------------------------------------

    async def _report(self, unsaved: Position) -> None:
        for at in self._consumer.assignment():
            key = (at.topic, at.partition)
            read = await self._consumer.position(at)
            position = self._saved.get(key, 0) if key in unsaved else read
            end = self._consumer.last_stable_offset(at)
            self._health.moved(*key, position, max((end or read) - position, 0))

    def _standing_still(self) -> None:
        if self._consumer is not None:
            for at in self._consumer.assignment():
                self._health.waiting(at.topic, at.partition)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Go on where ClickHouse stands, also where another process brought it there."""
        with suppress(Unavailable):
            self._saved |= await self._link.once(lambda store: store.positions(self._epoch))
        for at in assigned:
            self._consumer.seek(at, self._saved.get((at.topic, at.partition), 0))
        self._health.ready(True)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for at in revoked:
            self._health.lost(at.topic, at.partition)


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Copy until `stop` is set."""
    await Sink(settings, health, stop).run()


def main(settings: Settings) -> None:
    """Copy until SIGTERM or SIGINT. Raises InventoryError where only a person can help."""
    run_worker(settings, WORKER, run)
