"""The PostgreSQL sink against a real Kafka and a real PostgreSQL, whatever is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from runtime.clock import new_id
from runtime.codec import encode
from runtime.errors import Mismatch
from runtime.health import Health
from runtime.kafka import Publisher, new_producer, publisher, start
from runtime.partitions import partition_of
from runtime.settings import Settings
from schemas import topics
from schemas.events.base import Cause
from schemas.events.catalog import Customer, Location, Product
from schemas.events.orders import Part
from schemas.topics import Topic, key_of
from sinks.postgres.reading import read_batch
from sinks.postgres.rebuild import rebuild
from sinks.postgres.sink import run
from sinks.postgres.store import Move, Place, Store
from tests.support.postgres import Servers, SinkProcess, dump, eventually
from tests.support.postgres_records import (
    AT,
    PARTITIONS,
    Log,
    level,
    order_state,
    placed,
    sale,
)
from tests.support.waiting import outage


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    started = await Servers.start(tmp_path_factory.mktemp("servers"))
    yield started
    started.stop()


@pytest.fixture
async def connection(servers: Servers) -> AsyncIterator[Any]:
    found = await servers.empty()
    yield found
    await found.close()


@pytest.fixture
async def out(servers: Servers, connection: Any) -> AsyncIterator[Publisher]:
    async with publisher(servers.settings, "/test", linger_ms=2) as publishing:
        yield publishing


@pytest.fixture
async def sinks(servers: Servers, connection: Any) -> AsyncIterator[Callable[..., SinkProcess]]:
    """Starts sinks as processes; ends what is left of them."""
    processes: list[SinkProcess] = []

    def start(instance: str = "") -> SinkProcess:
        processes.append(SinkProcess(servers.settings, instance))
        return processes[-1]

    yield start
    for process in processes:
        process.terminate()


@asynccontextmanager
async def sinking(settings: Settings) -> AsyncIterator[Health]:
    """A sink in this process; raises what it raised."""
    stop, health = asyncio.Event(), Health(settings, "sink-postgres")
    task = asyncio.create_task(run(settings, health, stop))
    try:
        yield health
    finally:
        stop.set()
        await task


async def put(out: Publisher, topic: Topic, *bodies: Any) -> None:
    """Publish events or states; returns when Kafka has them all."""
    sent = [await out.send_raw(topic, key_of(topic, body), encode(body)) for body in bodies]
    await asyncio.gather(*sent)


async def trade(out: Publisher, first: int, count: int) -> None:
    """This many orders with what the folds would make of them: three lines each, 3 x 3 units."""
    places, states, facts, levels = [], [], [], []
    for number in range(first, first + count):
        order_id = f"o-{number}"
        places.append(placed(order_id, *(f"S{(number + n) % 50}" for n in range(3))))
        states.append(order_state(order_id, 1, "done"))
        facts.append(sale(order_id, number, 3, 3, 3, sku=f"S{number % 50}"))
        levels.append(level(f"S{number % 50}", -number, number + 1))
    await put(out, topics.ORDERS, *places)
    await put(out, topics.ORDER_STATES, *states)
    await put(out, topics.SALES, *facts)
    await put(out, topics.STOCK_LEVELS, *levels)


def counted(connection: Any, sql: str, expected: Any) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return bool(await connection.fetchval(sql) == expected)

    return check


def all_traded(connection: Any, orders: int) -> Callable[[], Awaitable[bool]]:
    """Whether all is there that `trade` made, once."""

    async def check() -> bool:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM orders WHERE version = 1 AND placed_at IS NOT NULL),"
            " (SELECT count(*) FROM order_items), (SELECT count(*) FROM sales),"
            " (SELECT COALESCE(sum(quantity), 0) FROM sales),"
            " (SELECT COALESCE(max(version), 0) FROM inventory)"
        )
        return tuple(row) == (orders, 3 * orders, 3 * orders, 9 * orders, orders)

    return check


# --- what goes in comes out -----------------------------------------------------------------------


async def test_sale_is_in_postgres_within_a_second(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    async with sinking(servers.settings) as health:
        await eventually(lambda: health.snapshot()["ready"])
        await put(out, topics.SALES, sale("warm-up", 0, 1))
        await eventually(counted(connection, "SELECT count(*) FROM sales", 1))
        await put(out, topics.SALES, sale("o-1", 1, 3))
        await eventually(counted(connection, "SELECT count(*) FROM sales", 2), seconds=1)


async def test_lag_ends_at_zero_also_behind_markers_of_transactions(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    """The end of a partition that a fold writes is a marker, not a record."""
    transactional = out_of_a_transaction(servers.settings)
    async with transactional as producer, sinking(servers.settings) as health:
        for number in range(3):
            async with producer.transaction():
                state = level("A", number, number + 1)
                await producer.send_and_wait(
                    "stock-levels", encode(state), b"A|cairo-1", partition=partition_of("A", 2)
                )
        await eventually(counted(connection, "SELECT max(version) FROM inventory", 3))
        sql = "SELECT max(next) FROM stream_positions WHERE topic = 'stock-levels'"
        await eventually(counted(connection, sql, 6))
        await eventually(lambda: health.snapshot()["lag"] == 0)


@asynccontextmanager
async def out_of_a_transaction(settings: Settings) -> AsyncIterator[Any]:
    producer = new_producer(settings, transactional_id=new_id())
    await start(producer, settings)
    try:
        yield producer
    finally:
        await producer.stop()


async def test_personal_data_is_gone_when_overwritten_and_when_deleted(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    mona = Customer(
        id="1", occurred_at=AT, customer_id="c-1", name="Mona Personal", street="1 Personal St",
        email="personal@example.org", postal_code="PERSONAL", segment="Consumer", city="Cairo",
    )  # fmt: skip
    erased = Customer(id="2", occurred_at=AT, customer_id="c-1", segment="Consumer")
    other = replace(mona, id="3", customer_id="c-2")
    async with sinking(servers.settings):
        await put(out, topics.CUSTOMERS, mona, other)
        await eventually(counted(connection, "SELECT count(name) FROM customers", 2))
        await put(out, topics.CUSTOMERS, erased)
        await (await out.send_raw(topics.CUSTOMERS, "c-2", None))
        await eventually(counted(connection, "SELECT count(name) FROM customers", 0))
    everything = repr(await dump(connection))
    assert "ersonal" not in everything
    assert "PERSONAL" not in everything
    rows = await connection.fetch("SELECT customer_id, segment FROM customers ORDER BY 1")
    assert [tuple(row) for row in rows] == [("c-1", "Consumer"), ("c-2", None)]


async def test_reservations_follow_the_state_of_the_order(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    parts = (Part(location_id="cairo-1", quantity=1), Part(location_id="giza-1", quantity=2))
    reserved = "SELECT COALESCE(sum(quantity), 0) FROM reservations"
    async with sinking(servers.settings):
        await put(out, topics.ORDERS, placed("o-1", "A"))
        await put(out, topics.ORDER_STATES, order_state("o-1", 1, parts=parts))
        await eventually(counted(connection, reserved, 3))
        reduced = replace(order_state("o-1", 2, "shipped"), lines=[], reduced=True)
        await put(out, topics.ORDER_STATES, reduced)
        await eventually(counted(connection, reserved, 0))
    row = await connection.fetchrow("SELECT status, version, channel FROM orders")
    assert tuple(row) == ("shipped", 2, "pos")
    assert await connection.fetchval("SELECT count(*) FROM order_items") == 1


# --- bad input ------------------------------------------------------------------------------------


async def test_bad_records_become_dead_letters_and_the_partition_goes_on(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    await (await out.send_raw(topics.LOCATIONS, "cairo-1", b"{"))
    # Valid as an event, but no bigint of PostgreSQL's can hold it.
    huge = replace(sale("o-1", 1, 3), cause=Cause(topic="orders", partition=0, offset=2**70))
    await put(out, topics.SALES, huge, *(sale("o-1", n, 3) for n in range(2, 7)))
    cairo = Location(id="l", occurred_at=AT, location_id="cairo-1", name="Cairo")
    await put(out, topics.LOCATIONS, cairo)
    async with sinking(servers.settings):
        await eventually(counted(connection, "SELECT count(*) FROM sales", 5))
        await eventually(counted(connection, "SELECT count(*) FROM dead_letters", 2))
    letters = await connection.fetch(
        "SELECT topic, reason, key, body, letter_offset FROM dead_letters ORDER BY topic"
    )
    assert [(row["topic"], row["reason"]) for row in letters] == [
        ("locations", "not_json"),
        ("sales", "not_storable"),
    ]
    assert letters[0]["body"] == b"{"
    assert letters[1]["key"] == b"o-1"
    assert await connection.fetchval("SELECT name FROM locations") == "Cairo"


# --- exactly once ---------------------------------------------------------------------------------


async def test_kills_in_the_middle_of_batches_lose_and_double_nothing(
    servers: Servers, connection: Any, out: Publisher, sinks: Callable[..., SinkProcess]
) -> None:
    """A lock on `sales` holds the sink in mid-transaction, with half of its rows written."""
    await trade(out, 0, 400)
    for _ in range(3):
        process = sinks("the-same")  # it gets its partitions back without waiting for a time-out
        async with connection.transaction():
            await connection.execute("LOCK TABLE sales IN EXCLUSIVE MODE")
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await eventually(_at_least_one(servers, waits))
            process.kill()
        await eventually(_none(servers, waits))
    sinks("the-same")
    await trade(out, 400, 100)
    await eventually(all_traded(connection, 500))


def _at_least_one(servers: Servers, sql: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return bool(await _fetch_apart(servers, sql))

    return check


def _none(servers: Servers, sql: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return not await _fetch_apart(servers, sql)

    return check


async def test_frozen_in_mid_transaction_it_loses_its_partitions_and_does_no_harm(
    servers: Servers, connection: Any, out: Publisher, sinks: Callable[..., SinkProcess]
) -> None:
    """A lock on `sales` holds the first sink in mid-transaction; frozen there, it is expelled."""
    await trade(out, 0, 200)
    frozen = sinks()
    async with connection.transaction():
        await connection.execute("LOCK TABLE sales IN EXCLUSIVE MODE")
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await eventually(_at_least_one(servers, waits))
        frozen.process.send_signal(signal.SIGSTOP)
    sinks()
    await trade(out, 200, 100)
    await eventually(all_traded(connection, 300), seconds=90)
    frozen.process.send_signal(signal.SIGCONT)
    await trade(out, 300, 100)
    await eventually(all_traded(connection, 400))


async def _fetch_apart(servers: Servers, sql: str) -> Any:
    other = await asyncpg.connect(servers.postgres.address)
    try:
        return await other.fetchval(sql)
    finally:
        await other.close()


async def test_two_sinks_share_the_work_and_one_takes_over(
    servers: Servers, connection: Any, out: Publisher, sinks: Callable[..., SinkProcess]
) -> None:
    first, second = sinks(), sinks()

    async def both_work() -> bool:
        shares = [set(process.status.get("positions", {})) for process in (first, second)]
        return all(shares) and not shares[0] & shares[1]

    await eventually(both_work)
    await trade(out, 0, 300)
    await eventually(all_traded(connection, 300))
    second.kill()
    await trade(out, 300, 100)
    await eventually(all_traded(connection, 400))
    assert not first.ended, first.said()
    assert "deadlock" not in first.said() + second.said()


async def test_store_that_was_moved_by_another_takes_nothing(
    servers: Servers, connection: Any
) -> None:
    """The compare-and-set: of two who read the same position, the second writes nothing."""
    place = Place("sales", 0)
    first, second = Store(servers.settings), Store(servers.settings)
    assert await first.begin({place: "id"}) == await second.begin({place: "id"}) == {place: 0}
    one, other = Log(), Log()
    one.add(topics.SALES, sale("o-1", 1, 3))
    other.add(topics.SALES, sale("o-2", 2, 5))
    await first.write(read_batch(one.records, PARTITIONS), [Move(place, 0, 1)])
    with pytest.raises(Mismatch, match="positions"):
        await second.write(read_batch(other.records, PARTITIONS), [Move(place, 0, 1)])
    assert await connection.fetchval("SELECT sum(quantity) FROM sales") == 3
    assert await second.positions([place]) == {place: 1}
    await first.close()
    await second.close()


async def test_same_records_again_change_nothing(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    await trade(out, 0, 100)
    async with sinking(servers.settings):
        await eventually(all_traded(connection, 100))
    before = await dump(connection)
    await connection.execute("UPDATE stream_positions SET next = 0")
    async with sinking(servers.settings) as health:
        await eventually(lambda: health.snapshot()["ready"])
        await eventually(
            counted(connection, "SELECT count(*) FROM stream_positions WHERE next > 0", 8)
        )
        await eventually(lambda: health.snapshot()["lag"] == 0)
    assert await dump(connection) == before


async def test_rebuild_ends_a_running_sink_and_gives_the_same_rows(
    servers: Servers, connection: Any, out: Publisher, sinks: Callable[..., SinkProcess]
) -> None:
    cairo = Location(id="l", occurred_at=AT, location_id="cairo-1", name="Cairo", city="Cairo")
    tea = Product(
        id="p", occurred_at=AT, sku="S1", name="Tea", category="Food", price=Decimal("2.5"),
        currency="EUR",
    )  # fmt: skip
    await put(out, topics.LOCATIONS, cairo)
    await put(out, topics.PRODUCTS, tea)
    await (await out.send_raw(topics.LOCATIONS, "giza-1", b"no JSON"))
    await trade(out, 0, 100)
    process = sinks()
    await eventually(all_traded(connection, 100))
    await eventually(counted(connection, "SELECT count(*) FROM dead_letters", 1))
    await eventually(lambda: process.status.get("lag") == 0)
    before = await dump(connection)

    await rebuild(servers.settings)
    await eventually(lambda: process.ended, seconds=10)
    assert process.process.returncode != 0
    assert "has moved PostgreSQL's positions" in process.said()
    assert await connection.fetchval("SELECT count(*) FROM sales") == 0

    sinks()
    await eventually(all_traded(connection, 100))
    await eventually(counted(connection, "SELECT count(*) FROM dead_letters", 1))
    assert await dump(connection) == before


async def test_topic_made_anew_is_refused_until_a_rebuild(
    servers: Servers, connection: Any, out: Publisher
) -> None:
    await trade(out, 0, 10)
    async with sinking(servers.settings):
        await eventually(all_traded(connection, 10))
    await servers.new_topics()
    health = Health(servers.settings, "sink-postgres")
    with pytest.raises(Mismatch, match="another topic") as caught:
        await asyncio.wait_for(run(servers.settings, health, asyncio.Event()), timeout=30)
    assert "inventory rebuild postgres" in caught.value.remedy
    await rebuild(servers.settings)
    async with sinking(servers.settings):
        async with publisher(servers.settings, "/test") as again:
            await trade(again, 0, 5)
        await eventually(all_traded(connection, 5))


# --- servers that go away -------------------------------------------------------------------------


async def test_postgres_stopped_under_load_is_waited_for(
    servers: Servers, connection: Any, out: Publisher, sinks: Callable[..., SinkProcess]
) -> None:
    process, sent, stop = sinks(), 0, asyncio.Event()

    async def load() -> None:
        nonlocal sent
        while not stop.is_set():
            await trade(out, sent, 20)
            sent += 20
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=0.1)

    loading = asyncio.create_task(load())
    await eventually(counted(connection, "SELECT count(*) > 50 FROM sales", True))
    servers.postgres.stop()
    await eventually(lambda: "PostgreSQL does not answer" in process.status["problem"])
    await outage()
    assert not process.ended, process.said()
    await servers.postgres.start()
    stop.set()
    await loading
    again = await asyncpg.connect(servers.postgres.address)
    await eventually(all_traded(again, sent))
    await eventually(lambda: process.status["problem"] == "")
    await again.close()
    assert not process.ended, process.said()


async def test_kafka_killed_is_waited_for(
    servers: Servers, connection: Any, sinks: Callable[..., SinkProcess]
) -> None:
    process = sinks()
    async with publisher(servers.settings, "/test") as before:
        await trade(before, 0, 20)
    await eventually(all_traded(connection, 20))
    servers.kafka.kill()
    await eventually(lambda: "Kafka does not answer" in process.status["problem"])
    late = sinks()
    await eventually(lambda: "Kafka does not answer" in late.status.get("problem", ""))
    await servers.kafka.start()
    async with publisher(servers.settings, "/test") as after:
        await trade(after, 20, 20)
    await eventually(all_traded(connection, 40))
    await eventually(lambda: process.status["problem"] == late.status["problem"] == "")
    assert not process.ended, process.said()
    assert not late.ended, late.said()
