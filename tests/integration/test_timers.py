"""The timers worker against a real broker: due states in, words out, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from producers.timers import REPEAT_AFTER, run
from runtime.codec import decode, encode
from runtime.health import Health
from runtime.kafka import Publisher, new_producer, publisher
from runtime.reading import read_to_end
from runtime.settings import Settings
from schemas.events.alerts import AlertState, RecheckAlert
from schemas.events.orders import OrderExpire, OrderState
from schemas.events.positions import Position, position_key
from schemas.topics import ALERT_COMMANDS, ALERT_STATES, ORDER_STATES, ORDERS, Topic, key_of
from tests.support.broker import Broker
from tests.support.folding import eventually

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(slots=True)
class HandClock:
    """A clock that stands until a test moves it."""

    time: datetime = START

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Running:
    """A timers worker in this process, with its clock and its health."""

    settings: Settings
    clock: HandClock = field(default_factory=HandClock)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.health = Health(self.settings, "timers")
        self.task = asyncio.create_task(run(self.settings, self.health, self.stop, self.clock))

    async def is_ready(self) -> None:
        await eventually(lambda: self._snapshot()["ready"], "the ledgers are read")

    def _snapshot(self) -> dict[str, Any]:
        assert not self.task.done(), self.task
        return self.health.snapshot()

    async def says(self, problem: str) -> None:
        await eventually(lambda: problem in self._snapshot()["problem"], f"problem: {problem}")

    async def is_well(self) -> None:
        def well() -> bool:
            found = self._snapshot()
            return bool(found["ready"] and not found["problem"] and not found["lag"])

        await eventually(well, "no problem and no lag")

    async def end(self) -> None:
        self.stop.set()
        done, _ = await asyncio.wait([self.task], timeout=20)
        assert done, "it did not stop within 20 s"
        self.task.result()


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("timers") / "broker")
    await broker.start_with_topics()
    yield broker
    broker.kill()


@pytest.fixture
async def settings(broker: Broker, tmp_path: Path) -> Settings:
    return broker.settings(state=tmp_path)


@asynccontextmanager
async def running(settings: Settings, clock: HandClock | None = None) -> AsyncIterator[Running]:
    worker = Running(settings, clock or HandClock())
    try:
        await worker.is_ready()
        yield worker
    finally:
        await worker.end()


async def write(settings: Settings, topic: Topic, *states: Any) -> None:
    """As a fold does it: in a transaction that ends with the fold's position."""
    producer = new_producer(settings, transactional_id=f"test-{topic.name}")
    await producer.start()
    sender = Publisher(settings, "/test", producer)
    async with producer.transaction():
        for state in states:
            key = key_of(topic, state)
            await (await sender.send_raw(topic, key, encode(state)))
            number = sender.partition_of(topic, key)
            position = encode(Position(partition=number))
            at_end = position_key(number).encode()
            await (await producer.send(topic.name, position, at_end, partition=number))
    await producer.stop()


def order(order_id: str, version: int, due_at: datetime | None) -> OrderState:
    return OrderState(
        order_id=order_id,
        status="reserved",
        version=version,
        occurred_at=START,
        recorded_at=START,
        due_at=due_at,
    )


def alert(sku: str, version: int, due_at: datetime | None) -> AlertState:
    return AlertState(
        sku=sku,
        location_id="cairo-1",
        version=version,
        occurred_at=START,
        recorded_at=START,
        due_at=due_at,
    )


async def published(settings: Settings, topic: Topic) -> list[Any]:
    """All events on a topic."""
    records: list[Any] = []
    await read_to_end(settings, topic, dict.fromkeys(range(4), 0), records.extend)
    return [decode(topic, record.key, record.value) for record in records]


async def said(settings: Settings, topic: Topic, prefix: str) -> list[str]:
    """Keys said so far, of those that begin so."""
    keys = [key_of(topic, event) for event in await published(settings, topic)]
    return sorted(key for key in keys if key.startswith(prefix))


def until(expected: list[str], read: Callable[[], Awaitable[list[str]]]) -> Awaitable[Any]:
    """All of these were said and nothing else; after a rebalance some may be said twice."""

    async def same() -> bool:
        return set(await read()) == set(expected)

    return eventually(same, f"{expected} were said")


async def test_what_is_due_is_said_once_it_is_due(settings: Settings) -> None:
    await write(settings, ORDER_STATES, order("due-1", 1, at(10)), order("due-2", 1, at(99)))
    await write(settings, ALERT_STATES, alert("DUE-1", 1, at(20)), alert("DUE-2", 1, None))
    async with running(settings) as worker:
        assert await said(settings, ORDERS, "due-") == []
        worker.clock.time = at(20)
        await until(["due-1"], lambda: said(settings, ORDERS, "due-"))
        await until(["DUE-1|cairo-1"], lambda: said(settings, ALERT_COMMANDS, "DUE-"))
    (expired,) = [e for e in await published(settings, ORDERS) if e.order_id == "due-1"]
    assert isinstance(expired, OrderExpire)
    assert (expired.due_at, expired.occurred_at) == (at(10), at(20))
    (again,) = [e for e in await published(settings, ALERT_COMMANDS) if e.sku == "DUE-1"]
    assert isinstance(again, RecheckAlert)
    assert (again.due_at, again.occurred_at) == (at(20), at(20))


async def test_a_time_that_a_later_state_took_back_is_never_said(settings: Settings) -> None:
    states = [order(f"old-{number}", 1, at(1)) for number in range(50)]
    await write(settings, ORDER_STATES, *states)
    await write(settings, ORDER_STATES, *[order(state.order_id, 2, None) for state in states])
    await write(settings, ORDER_STATES, order("old-end", 1, at(2)))
    async with running(settings, HandClock(at(1000))):
        await until(["old-end"], lambda: said(settings, ORDERS, "old-"))


async def test_what_the_fold_does_not_answer_is_said_again(settings: Settings) -> None:
    async with running(settings) as worker:
        await write(settings, ORDER_STATES, order("again-1", 1, at(5)), order("again-2", 1, at(5)))
        worker.clock.time = at(6)
        await until(["again-1", "again-2"], lambda: said(settings, ORDERS, "again-"))
        await write(settings, ORDER_STATES, order("again-2", 2, None))
        await write(settings, ALERT_STATES, alert("AGAIN", 1, at(7)))
        worker.clock.time = at(7) + REPEAT_AFTER
        await until(["AGAIN|cairo-1"], lambda: said(settings, ALERT_COMMANDS, "AGAIN"))

        async def twice() -> bool:
            return await said(settings, ORDERS, "again-") == ["again-1", "again-1", "again-2"]

        await eventually(twice, "the one that got no answer was said again")


async def test_a_big_backlog_is_said_whole(settings: Settings) -> None:
    keys = sorted(f"many-{number}" for number in range(10_000))
    async with publisher(settings, "/test", linger_ms=5) as sender:
        sent = [
            await sender.send_raw(ORDER_STATES, key, encode(order(key, 1, at(1)))) for key in keys
        ]
        await asyncio.gather(*sent)
    async with running(settings, HandClock(at(1000))):
        await until(keys, lambda: said(settings, ORDERS, "many-"))


async def test_two_workers_share_and_one_takes_over(settings: Settings) -> None:
    keys = sorted(f"two-{number}" for number in range(40))
    async with running(settings) as first, running(settings) as second:
        await first.is_well()
        await write(settings, ORDER_STATES, *[order(key, 1, at(5)) for key in keys])
        await first.end()
        await second.is_well()
        second.clock.time = at(6)
        await until(keys, lambda: said(settings, ORDERS, "two-"))


async def test_while_the_broker_is_away_it_waits_says_so_and_can_be_stopped(
    broker: Broker, settings: Settings
) -> None:
    await write(settings, ALERT_STATES, alert("AWAY", 1, at(5)))
    async with running(settings) as worker:
        broker.kill()
        await worker.says("Kafka does not answer")
        worker.clock.time = at(6)
        await broker.start()
        await worker.is_well()
        await until(["AWAY|cairo-1"], lambda: said(settings, ALERT_COMMANDS, "AWAY"))
        broker.kill()
        await worker.says("Kafka does not answer")
    await broker.start()


async def test_a_process_ends_in_good_order_when_it_is_told_to(
    settings: Settings, tmp_path: Path
) -> None:
    await write(settings, ORDER_STATES, order("process-1", 1, at(5)))
    status = tmp_path / "timers.json"
    run_timers = "from producers.timers import main; from runtime.settings import load_settings"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{run_timers}; main(load_settings())",
        env={
            **os.environ,
            "INVENTORY_KAFKA": settings.kafka,
            "INVENTORY_STATUS_FILE": str(status),
        },
    )
    try:
        await eventually(
            lambda: status.exists() and json.loads(status.read_bytes())["ready"], "it is ready"
        )
        await until(["process-1"], lambda: said(settings, ORDERS, "process-"))
        process.terminate()
        assert await asyncio.wait_for(process.wait(), timeout=20) == 0
    finally:
        if process.returncode is None:
            process.kill()
