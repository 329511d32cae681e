"""Faust's transport, changed in one point: positions belong to the fold.

Faust hands agents one event a record and moves positions by its own idea of what was processed;
both lose or double records in rebalances (docs/adr/0002). Here an agent gets one event a
*chunk*, nothing is fetched from a partition before the fold has opened it at a position, and
Faust commits no offsets: they go with the fold's transaction.

The Kafka consumer lives in a thread of its own with its own loop, as Faust arranges it. Methods
of `ChunkThread` named `..._here` run on that loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from runtime.kafka import new_consumer
from runtime.settings import Settings
from stream_processors.engine.chunks import Chunk

WAITING_CHUNKS_MAX = 2
"""Chunks of one partition that may wait for the fold before fetching pauses there."""
IDLE_WAIT_SECONDS = 0.5
BUSY_WAIT_SECONDS = 0.005


class ChunkListener(driver.ConsumerRebalanceListener):
    """Closes every partition the moment a rebalance begins, before anybody can fetch."""

    _thread: ChunkThread

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Any:
        self._thread.covered.clear()
        return super().on_partitions_revoked(revoked)


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread: fetches from opened partitions only, with exact positions."""

    transport: ChunkTransport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The opened partitions: position up to which chunks have been handed out.
        self.covered: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return new_consumer(
            transport.settings,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            client_id=conf.broker_client_id,
            partition_assignment_strategy=[self._assignor],
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            max_poll_interval_ms=3_600_000,
            fetch_max_wait_ms=20,
        )

    async def run_here(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the consumer's loop and wait for its result."""
        running = asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop)
        return await asyncio.wrap_future(running)

    async def open_here(self, positions: Mapping[TP, int], generation: int) -> bool:
        """Fetch from these positions on; False where a rebalance came in between."""
        consumer = self._ensure_consumer()
        if consumer._coordinator.generation != generation:
            return False
        try:
            for tp, offset in positions.items():
                consumer.seek(TopicPartition(*tp), offset)
        except IllegalStateError:
            return False
        self.covered.update(positions)
        return True

    async def take_here(self, busy: set[TP], timeout: float, limit: int) -> list[Chunk]:
        """What has arrived in the opened partitions that are not busy; waits for it a while."""
        consumer = self._ensure_consumer()
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        chunks = self._collect(consumer, busy, limit)
        if not chunks:
            waiter = consumer._fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=timeout)
            if not done:
                waiter.cancel()
            else:
                waiter.result()  # raises where the broker forbids us to read
            chunks = self._collect(consumer, busy, limit)
        return chunks

    def _collect(self, consumer: Any, busy: set[TP], limit: int) -> list[Chunk]:
        """Never awaits: positions and records are of one moment."""
        fetcher = consumer._fetcher
        generation = consumer._coordinator.generation
        chunks = []
        for tp in self.covered.keys() - busy:
            key = TopicPartition(*tp)
            fetched = fetcher._records.get(key)
            if fetched is None:
                continue
            if not hasattr(fetched, "getall"):  # an error of the fetch, kept for the reader
                del fetcher._records[key]
                fetcher._notify(fetcher._wait_consume_future)
                fetched.check_raise()
                continue
            state = consumer._subscription.subscription.assignment.state_value(key)
            records = fetched.getall(limit)
            if not fetched.has_more():
                del fetcher._records[key]
                fetcher._notify(fetcher._wait_consume_future)
            # Transaction markers move the position without a record: the next chunk covers them.
            if records:
                chunks.append(Chunk(tp, records, self.covered[tp], state.position, generation))
                self.covered[tp] = state.position
        return chunks

    async def ends_here(self) -> dict[TP, tuple[int, int]]:
        """Of each opened partition: the position, and the end of what is committed there."""
        subscription = self._ensure_consumer()._subscription.subscription
        ends = {}
        for tp in self.covered:
            state = subscription.assignment.state_value(TopicPartition(*tp))
            if state is not None and state.has_valid_position and state.lso is not None:
                ends[tp] = (state.position, state.lso)
        return ends


class ChunkConsumer(driver.Consumer):
    """Hands chunks to the conductor, and lets a chunk that still waits grow."""

    RebalanceListener = ChunkListener
    transport: ChunkTransport
    _thread: ChunkThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[TP, deque[Chunk]] = defaultdict(deque)

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    async def open(self, positions: Mapping[TP, int], generation: int) -> bool:
        """Let records of these partitions come, from these positions on."""
        opened: bool = await self._thread.run_here(self._thread.open_here(positions, generation))
        return opened

    async def ends(self) -> dict[TP, tuple[int, int]]:
        ends: dict[TP, tuple[int, int]] = await self._thread.run_here(self._thread.ends_here())
        return ends

    def has_waiting(self, tp: TP) -> bool:
        """Whether chunks of the partition wait for the fold."""
        return any(not chunk.taken for chunk in self._waiting[tp])

    async def _drain_messages(self, fetcher: Any) -> None:
        limit = self.transport.chunk_max
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.can_resume_flow.wait()
            busy = self._busy()
            timeout = BUSY_WAIT_SECONDS if busy else IDLE_WAIT_SECONDS
            chunks = await self._thread.run_here(self._thread.take_here(busy, timeout, limit))
            for chunk in chunks:
                await self._deliver(chunk, limit)
            await asyncio.sleep(0)

    def _busy(self) -> set[TP]:
        busy = set()
        for tp, waiting in self._waiting.items():
            while waiting and waiting[0].taken:
                waiting.popleft()
            if len(waiting) >= WAITING_CHUNKS_MAX:
                busy.add(tp)
        return busy

    async def _deliver(self, chunk: Chunk, limit: int) -> None:
        if chunk.generation != self.app.consumer_generation_id:
            return  # fetched before a rebalance: the fold opens the partition anew
        waiting = self._waiting[chunk.tp]
        if waiting and waiting[-1].generation != chunk.generation:
            waiting.clear()
        if waiting and waiting[-1].grow(chunk, limit):
            return
        waiting.append(chunk)
        # A delivery that flow control blocks must end with the rebalance that blocked it, or it
        # would hand over an old chunk after it.
        await self.wait_first(self.callback(_message(chunk)), self.suspend_flow.wait())

    def ack(self, message: Any) -> bool:
        """Only tells who waits that it is done; offsets are the fold's."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def wait_empty(self) -> None:
        """A rebalance goes on when no transaction is in flight."""
        await self.transport.quiet()

    async def commit(self, *args: Any, **kwargs: Any) -> bool:
        return False

    async def perform_seek(self) -> None:
        """Nothing: partitions stay closed until the fold opens them at its own position."""

    async def verify_all_partitions_active(self) -> None:
        """Nothing: Faust looks at its commits, and there are none; `runtime.health` watches."""

    async def on_stop(self) -> None:
        await self.wait_empty()


def _message(chunk: Chunk) -> ConsumerMessage:
    topic, partition = chunk.tp
    value: Any = chunk
    return ConsumerMessage(
        topic,
        partition,
        chunk.start,
        0.0,  # timestamp
        0,  # timestamp type
        None,  # headers
        None,  # key
        value,
        None,  # checksum
        None,  # key size
        None,  # value size
        chunk.tp,
        generation_id=chunk.generation,
    )


class ChunkTransport(driver.Transport):
    """quiet: waits until no transaction is in flight; the fold sets it."""

    Consumer = ChunkConsumer

    def __init__(self, app: Any, settings: Settings, chunk_max: int) -> None:
        super().__init__(app.conf.broker, app)
        self.settings = settings
        self.chunk_max = chunk_max
        self.quiet: Callable[[], Coroutine[Any, Any, None]] = _nothing


async def _nothing() -> None:
    return None


class ChunkSchema(faust.Schema[None, Chunk]):
    """Passes chunks through: the fold decodes, where what is refused becomes a dead letter."""

    def loads_key(self, app: Any, message: Any, **_kwargs: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **_kwargs: Any) -> Chunk:
        chunk: Chunk = message.value
        return chunk
