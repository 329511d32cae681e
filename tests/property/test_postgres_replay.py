"""Whatever way records are cut into batches and repeated, PostgreSQL holds the same rows.

Against a real server: most of what makes this true is in the statements.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.settings import Settings, load_settings
from schemas import topics
from schemas.events.alerts import AlertState, ReorderPoint
from schemas.events.catalog import Customer, Product
from schemas.events.orders import Part
from sinks.postgres.migrate import migrate
from sinks.postgres.reading import read_batch
from sinks.postgres.rebuild import rebuild
from sinks.postgres.store import Store
from tests.support.postgres import PostgresServer, dump
from tests.support.postgres_records import (
    AT,
    PARTITIONS,
    Log,
    StoredRecord,
    level,
    order_state,
    placed,
    sale,
)

T = TypeVar("T")
SKUS, ORDERS, PLACES = ("A", "B", "C"), ("o-1", "o-2"), ("cairo-1", "giza-1")
DELETING = topics.REORDER_POINTS.name
Action = tuple[str, int, int]
KINDS = (
    "product", "product gone", "customer", "customer gone", "placed", "state", "sold", "level",
    "threshold", "threshold gone", "alert", "garbage", "placed", "state", "state",
)  # fmt: skip
actions = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 5)),
    min_size=25,
    max_size=60,
)


@dataclass
class History:
    """A log, and what a plain reading of it comes to."""

    log: Log = field(default_factory=Log)
    products: dict[str, str | None] = field(default_factory=dict)
    customers: dict[str, str | None] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    statuses: dict[str, tuple[str, int]] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    thresholds: dict[str, int] = field(default_factory=dict)
    sold: int = 0
    _versions: Counter[str] = field(default_factory=Counter)

    def act(self, kind: str, which: int, amount: int) -> None:
        sku, order, log = SKUS[which], ORDERS[which], self.log
        self._versions[kind + sku] += 1
        version = self._versions[kind + sku]
        if kind == "product":
            name = f"{sku} no. {amount}"
            log.add(
                topics.PRODUCTS,
                Product(id="p", occurred_at=AT, sku=sku, name=name, category=f"c-{amount}"),
            )
            self.products[sku] = name
        elif kind == "product gone":
            log.add_raw(topics.PRODUCTS, sku.encode(), None)
            self.products[sku] = None
        elif kind == "customer":
            name = f"Mona {amount}"
            log.add(topics.CUSTOMERS, Customer(id="c", occurred_at=AT, customer_id=sku, name=name))
            self.customers[sku] = name
        elif kind == "customer gone":
            log.add_raw(topics.CUSTOMERS, sku.encode(), None)
            self.customers[sku] = None
        elif kind == "placed":
            skus = [SKUS[n % 3] for n in range(amount % 3 + 1)]
            log.add(topics.ORDERS, placed(order, *skus, customer_id=sku))
            self.lines.setdefault(order, skus)
        elif kind == "state":
            status = ("reserved", "paid", "shipped")[amount % 3]
            parts = [Part(location_id=place, quantity=amount) for place in PLACES if amount > 1]
            log.add(topics.ORDER_STATES, order_state(order, version, status, tuple(parts)))
            self.statuses[order] = (status, version)
            self.reserved[order] = sum(part.quantity for part in parts)
        elif kind == "sold":
            log.add(topics.SALES, sale(order, len(log.records), amount + 1, -1, sku=sku))
            self.sold += amount
        elif kind == "level":
            log.add(topics.STOCK_LEVELS, level(sku, amount, version))
            self.levels[sku] = amount
        elif kind == "alert":
            state = AlertState(
                sku=sku, location_id="giza-1", severity="low", level=amount, version=version,
                occurred_at=AT, recorded_at=AT,
            )  # fmt: skip
            log.add(topics.ALERT_STATES, state)
        else:
            self._set_threshold(kind, sku, amount)

    def _set_threshold(self, kind: str, sku: str, amount: int) -> None:
        if kind == "threshold":
            point = ReorderPoint(
                id="r", occurred_at=AT, sku=sku, location_id="cairo-1", raise_at=amount, clear_at=9
            )
            self.log.add(topics.REORDER_POINTS, point)
            self.thresholds[sku] = amount
        elif kind == "threshold gone":
            self.log.add_raw(topics.REORDER_POINTS, f"{sku}|cairo-1".encode(), None)
            self.thresholds.pop(sku, None)
        else:
            self.log.add_raw(topics.SALES, sku.encode(), b"{")

    async def check(self, connection: Any) -> None:
        async def pairs(sql: str) -> dict[str, Any]:
            return {row[0]: row[1] for row in await connection.fetch(sql)}

        assert await pairs("SELECT sku, name FROM products WHERE version >= 0") == self.products
        assert (
            await pairs("SELECT customer_id, name FROM customers WHERE version >= 0")
            == self.customers
        )
        items = await connection.fetch("SELECT order_id, sku FROM order_items ORDER BY 1, line_no")
        lines: dict[str, list[str]] = defaultdict(list)
        for order_id, sku in items:
            lines[order_id].append(sku)
        assert lines == self.lines
        assert (
            await pairs("SELECT order_id, (status, version) FROM orders WHERE version >= 0")
            == self.statuses
        )
        held = await pairs("SELECT order_id, sum(quantity) FROM reservations GROUP BY 1")
        assert held == {order: n for order, n in self.reserved.items() if n}
        assert await pairs("SELECT sku, on_hand FROM inventory") == self.levels
        assert await pairs("SELECT sku, raise_at FROM thresholds") == self.thresholds
        assert await connection.fetchval("SELECT sum(quantity) FROM sales") == (
            self.sold if any(r.topic == "sales" and r.value != b"{" for r in self.log.records)
            else None
        )  # fmt: skip


class Server:
    """A server, and a loop to talk to it from tests that hypothesis drives."""

    def __init__(self, settings: Settings, runner: asyncio.Runner) -> None:
        self.settings = settings
        self._runner = runner
        self.connection = self.run(asyncpg.connect(settings.need("postgres")))

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        # hypothesis would take pytest's own limit for one more failing example, and go on.
        return self._runner.run(asyncio.wait_for(doing, timeout=60))

    async def store(self, batches: Sequence[Sequence[StoredRecord]]) -> None:
        store = Store(self.settings)
        try:
            for records in batches:
                await store.write(read_batch(records, PARTITIONS), [])
        finally:
            await store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    postgres = PostgresServer(tmp_path_factory.mktemp("postgres"))
    with asyncio.Runner() as runner:
        try:
            runner.run(postgres.start())
            loaded = load_settings(postgres=postgres.address)
            runner.run(migrate(loaded))
            yield Server(loaded, runner)
        finally:
            postgres.stop()


def cut(data: st.DataObject, records: list[StoredRecord]) -> list[list[StoredRecord]]:
    """Batches as a consumer may get them: partitions in any mixture, each in its order."""
    partitions: dict[tuple[str, int], list[StoredRecord]] = defaultdict(list)
    for record in records:
        partitions[record.topic, record.partition].append(record)
    batches: list[list[StoredRecord]] = [[]]
    while partitions:
        place = data.draw(st.sampled_from(sorted(partitions)))
        many = data.draw(st.integers(1, 5))
        batches[-1] += partitions[place][:many]
        partitions[place] = partitions[place][many:]
        if not partitions[place]:
            del partitions[place]
        if data.draw(st.booleans()):
            batches.append([])
    return batches


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=actions, data=st.data())
def test_any_cut_and_any_repetition_give_the_same_rows(
    server: Server, acts: list[Action], data: st.DataObject
) -> None:
    history = History()
    for act in acts:
        history.act(*act)
    records = history.log.records

    server.run(rebuild(server.settings))
    server.run(server.store([records]))
    at_once = server.run(dump(server.connection))
    server.run(history.check(server.connection))

    server.run(rebuild(server.settings))
    batches = cut(data, records)
    again = data.draw(st.integers(0, len(batches) - 1))
    server.run(server.store([*batches[: again + 1], batches[again], *batches[again + 1 :]]))
    assert server.run(dump(server.connection)) == at_once

    # Old records alone, too; but for rows that were deleted, which nothing remembers.
    old = [r for r in records[: data.draw(st.integers(0, len(records)))] if r.topic != DELETING]
    server.run(server.store(cut(data, old)))
    assert server.run(dump(server.connection)) == at_once

    server.run(server.store(cut(data, records)))
    assert server.run(dump(server.connection)) == at_once
