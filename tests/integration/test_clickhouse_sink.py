"""The worker against real servers: killed, cut off, rebuilt; ClickHouse holds what topics hold."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.codec import encode
from runtime.errors import Mismatch
from runtime.health import Health
from runtime.kafka import publisher
from runtime.reading import read_to_end
from schemas import topics
from schemas.events.base import Event
from schemas.events.catalog import Product
from schemas.events.stock import SkuState, StockLevel
from schemas.topics import Topic
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rebuild import rebuild
from sinks.clickhouse.sink import Sink
from sinks.clickhouse.store import Store, connect
from tests.support.broker import Broker
from tests.support.clickhouse import (
    START,
    SinkProcess,
    Warehouse,
    line,
    moved,
    movement,
    publish,
    sale,
    settings_for,
)
from tests.support.waiting import outage

FAR = "2100-01-01 00:00:00"
SKUS = [f"SKU-{number}" for number in range(50)]
pytestmark = pytest.mark.timeout(300)


class Trade:
    """One broker for all tests here, and what has been published on it so far."""

    def __init__(self, broker: Broker) -> None:
        self.settings = broker.settings()
        self.sales = 0
        self.units = 0
        self._chance = random.Random(3)
        self._versions: dict[str, int] = {}

    async def go_on(self, count: int) -> None:
        """So many orders of one line each, and the movement that each led to."""
        events: list[tuple[Topic, Event]] = []
        for number in range(self.sales, self.sales + count):
            sku = self._chance.choice(SKUS)
            at = START + timedelta(minutes=17 * number)
            version = self._versions[sku] = self._versions.get(sku, 0) + 1
            events += [
                (topics.SALES, sale(number, line(sku, 2), occurred_at=at)),
                (topics.STOCK_MOVEMENTS, moved(sku, movement(version, -2, occurred_at=at))),
            ]
        self.sales += count
        self.units += 2 * count
        await publish(self.settings, events)


class Shop:
    """The broker, a ClickHouse of a test's own, and a sink between them."""

    def __init__(self, folder: Path, trade: Trade, warehouse: Warehouse) -> None:
        self._trade = trade
        self.trade = trade.go_on
        self.settings = settings_for(trade.settings, warehouse)
        self.warehouse = warehouse
        self.sink = SinkProcess(folder / "sink", self.settings)

    async def in_step(self, seconds: float = 90) -> None:
        """Wait until ClickHouse has it all, exactly once, in rows and in sums."""
        expected = f"{self._trade.sales}\t{self._trade.units}"
        checks = {
            "SELECT count(), sum(quantity) FROM sales": expected,
            "SELECT sum(orders), sum(quantity) FROM sales_by_quarter": expected,
            "SELECT count(), -sum(on_hand_delta) FROM stock_movements": expected,
            f"SELECT sum(movements), -sum(on_hand) FROM stock_as_of(at='{FAR}', known_by='{FAR}')":
            expected,
        }  # fmt: skip
        found: dict[str, str] = {}

        def agree() -> bool:
            nonlocal found
            found = {sql: self.warehouse.ask(sql) for sql in checks}
            return found == checks

        await until(agree, lambda: f"{found} of {expected}; {self.log()}", seconds)

    def log(self) -> str:
        return self.sink.log.read_text()[-2000:] if self.sink.log.exists() else ""

    def rows(self) -> dict[str, str]:
        """Everything that views show, in one order."""
        return {
            view: self.warehouse.ask(f"SELECT * FROM {view} ORDER BY ALL")
            for view in ("sales", "stock_movements", "stock_levels", "alerts", "sales_by_quarter")
        }


async def until(
    condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = 60
) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            pytest.fail(what if isinstance(what, str) else what())
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def trade(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trade]:
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    await broker.start_with_topics()
    yield Trade(broker)
    broker.kill()


@pytest.fixture
async def shop(trade: Trade, tmp_path: Path) -> AsyncIterator[Shop]:
    warehouse = Warehouse(tmp_path / "clickhouse")
    warehouse.start()
    found = Shop(tmp_path, trade, warehouse)
    await migrate(found.settings)
    yield found
    if found.sink.process is not None:
        found.sink.end(signal.SIGKILL)
    warehouse.end(signal.SIGKILL)


async def test_a_sale_is_visible_within_three_seconds_and_stopping_is_clean(shop: Shop) -> None:
    shop.sink.start()
    await until(lambda: shop.sink.status()["ready"], shop.log)
    took = []
    for _ in range(3):
        await shop.in_step()
        began = time.monotonic()
        await shop.trade(1)
        await shop.in_step()
        took.append(time.monotonic() - began)
    # The best of three: what else this machine does is not what is tested.
    assert min(took) < 3, took
    await until(lambda: shop.sink.status()["lag"] == 0, "the lag never came to 0")
    assert shop.sink.end(signal.SIGTERM) == 0


async def test_killed_in_mid_batch_again_and_again_nothing_is_lost_or_doubled(shop: Shop) -> None:
    chance = random.Random(5)
    await shop.trade(2_000)
    for _ in range(4):
        shop.sink.start()
        before = shop.warehouse.ask("SELECT count() FROM fact_sales")
        await shop.trade(500)
        await until(
            lambda before=before: shop.warehouse.ask("SELECT count() FROM fact_sales") != before,  # type: ignore[misc]
            shop.log,
        )
        await asyncio.sleep(chance.random() * 0.4)  # at any point of a batch
        shop.sink.end(signal.SIGKILL)
    shop.sink.start()
    await shop.in_step()


async def test_frozen_in_mid_batch_beyond_its_session_it_wakes_to_do_no_harm(
    shop: Shop, tmp_path: Path
) -> None:
    second = SinkProcess(tmp_path / "second", shop.settings)
    await shop.trade(2_000)
    shop.sink.start()
    try:
        await until(lambda: shop.warehouse.ask("SELECT count() FROM fact_sales") != "0", shop.log)
        assert shop.sink.process is not None
        shop.sink.process.send_signal(signal.SIGSTOP)
        second.start()
        await shop.trade(500)
        await shop.in_step()  # by the other one, once the session of the first has ended
        shop.sink.process.send_signal(signal.SIGCONT)
        await shop.trade(500)
        await shop.in_step()
    finally:
        second.end(signal.SIGKILL)


async def test_clickhouse_may_freeze_and_be_away_under_load(shop: Shop) -> None:
    shop.sink.start()
    await shop.trade(500)
    await shop.in_step()
    process, server = shop.sink.process, shop.warehouse.process
    assert process is not None
    assert server is not None
    trading = asyncio.create_task(_trade_on(shop))
    server.send_signal(signal.SIGSTOP)
    await until(lambda: "has not answered" in shop.sink.status()["problem"], shop.log)
    shop.warehouse.end(signal.SIGKILL)
    await until(lambda: "does not answer" in shop.sink.status()["problem"], shop.log)
    await outage()
    assert process.poll() is None, shop.log()
    shop.warehouse.start()
    trading.cancel()
    await asyncio.gather(trading, return_exceptions=True)
    await shop.in_step()
    await until(lambda: shop.sink.status()["problem"] == "", shop.log)
    assert process.poll() is None


async def _trade_on(shop: Shop) -> None:
    while True:
        await asyncio.shield(asyncio.ensure_future(shop.trade(100)))
        await asyncio.sleep(0.1)


async def test_two_sinks_share_the_work_and_survive_each_other(shop: Shop, tmp_path: Path) -> None:
    second = SinkProcess(tmp_path / "second", shop.settings)
    shop.sink.start()
    second.start()
    try:
        for _ in range(4):
            await shop.trade(400)
        await shop.in_step()
        second.end(signal.SIGKILL)
        await shop.trade(400)
        await shop.in_step()
    finally:
        second.end(signal.SIGKILL)


async def test_a_rebuild_gives_the_same_rows_while_the_sink_runs(shop: Shop) -> None:
    level = StockLevel(
        sku="TEA-250", location_id="cairo-1", on_hand=8, version=3, occurred_at=START,
        recorded_at=START,
    )  # fmt: skip
    async with publisher(shop.settings, "/test") as out:
        await out.send(topics.PRODUCTS, _product("TEA-250"))
        await _ledger(out, "TEA-250|cairo-1", level)
        await _ledger(out, "TEA-250|", SkuState(sku="TEA-250"))
    shop.sink.start()
    await shop.trade(3_000)
    await shop.in_step()
    await until(lambda: shop.warehouse.ask("SELECT count() FROM stock_levels") == "1", shop.log)
    before = shop.rows()
    await rebuild(shop.settings)
    await shop.in_step()
    await until(lambda: shop.rows() == before, shop.log)
    await shop.trade(100)
    await shop.in_step()


async def test_lost_group_offsets_and_a_lost_clickhouse_are_both_made_good(shop: Shop) -> None:
    await shop.trade(300)
    shop.sink.start()
    await shop.in_step()
    shop.sink.end(signal.SIGTERM)
    # Another ClickHouse, as after the loss of its folder: the group's offsets say all is done.
    shop.warehouse.ask("DROP DATABASE inventory SYNC", database="default")
    await migrate(shop.settings)
    shop.sink.start()
    await shop.in_step()


async def test_another_topic_is_refused_until_a_rebuild(shop: Shop) -> None:
    await migrate(shop.settings)
    store = Store(await connect(shop.settings))
    await store.accept_topics({"sales": "00000000-0000-0000-0000-00000000000a"})
    await store.close()
    sink = Sink(shop.settings, Health(shop.settings, "sink-clickhouse"), asyncio.Event())
    with pytest.raises(Mismatch, match="another topic sales") as error:
        await sink.run()
    assert "inventory rebuild clickhouse" in error.value.remedy
    await rebuild(shop.settings)
    shop.sink.start()
    await shop.trade(10)
    await shop.in_step()


async def test_a_rebuild_that_was_killed_holds_the_sink_until_it_is_repeated(shop: Shop) -> None:
    store = Store(await connect(shop.settings))
    await store.new_epoch(emptying=True)
    await store.close()
    await shop.trade(10)
    shop.sink.start()
    await until(lambda: "rebuild" in shop.sink.status()["problem"], shop.log)
    assert shop.warehouse.ask("SELECT count() FROM sales") == "0"
    await rebuild(shop.settings)
    await shop.in_step()


async def test_missing_tables_are_waited_for(shop: Shop) -> None:
    shop.warehouse.ask("DROP DATABASE inventory SYNC", database="default")
    shop.sink.start()
    await until(lambda: "inventory migrate" in shop.sink.status()["problem"], shop.log)
    await migrate(shop.settings)
    await shop.trade(10)
    await shop.in_step()


async def test_what_cannot_be_read_is_set_aside_and_the_rest_goes_on(shop: Shop) -> None:
    bad: list[tuple[Topic, str, bytes | None]] = [
        (topics.STOCK_MOVEMENTS, "SKU-1", b"{no json"),
        (topics.STOCK_MOVEMENTS, "SKU-1", b'{"type":"stock_moved"}'),
        (topics.STOCK_MOVEMENTS, "SKU-1", None),
        (topics.SALES, "O-1", b"[]"),
        (topics.STOCK_LEVELS, "SKU-1|cairo-1", b"{}"),
        (topics.STOCK_LEVELS, "@position|0", b'{"type":"position"}'),
    ]
    await shop.trade(20)
    async with publisher(shop.settings, "/test") as out:
        for topic, key, body in bad:
            await (await out.send_raw(topic, key, body))
    await shop.trade(20)
    shop.sink.start()
    await shop.in_step()
    letters: list[Any] = []
    await read_to_end(shop.settings, topics.DEAD_LETTERS, {0: 0}, letters.extend)
    headers = [dict(letter.headers) for letter in letters]
    assert {found["dl_topic"] for found in headers} == {b"stock-movements"}
    assert {found["dl_reason"] for found in headers} == {b"not_json", b"invalid", b"null_body"}
    bodies = {body for topic, _, body in bad if topic is topics.STOCK_MOVEMENTS}
    assert {letter.value for letter in letters} == bodies


def _product(sku: str) -> Product:
    return Product(id=f"p-{sku}", occurred_at=START, sku=sku, name="Tea", sub_category="Tea")


async def _ledger(out: Any, key: str, state: Any) -> None:
    await (await out.send_raw(topics.STOCK_LEVELS, key, encode(state)))
