"""Migrations and SQL functions of PostgreSQL, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from runtime.errors import InventoryError, Mismatch, Unavailable
from runtime.migrations import load_migrations
from runtime.settings import Settings, load_settings
from schemas import topics
from schemas.events.catalog import Location, Product
from sinks.postgres.database import connect
from sinks.postgres.migrate import migrate
from sinks.postgres.reading import read_batch
from sinks.postgres.rebuild import rebuild
from sinks.postgres.store import Store
from sinks.postgres.tables import TABLES
from tests.support.broker import free_ports
from tests.support.postgres import PostgresServer
from tests.support.postgres_records import AT, PARTITIONS, Log, level, order_state, placed, sale

ALL = [migration.name for migration in load_migrations("schemas.postgres")]


@pytest.fixture(scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    try:
        await server.start()
        yield load_settings(postgres=server.address)
    finally:
        server.stop()


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[Any]:
    found = await asyncpg.connect(settings.need("postgres"))
    await found.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    yield found
    await found.close()


async def store(settings: Settings, log: Log) -> None:
    copy = Store(settings)
    await copy.write(read_batch(log.records, PARTITIONS), [])
    await copy.close()


# --- migrations -----------------------------------------------------------------------------------


async def test_migrations_run_once_and_by_two_at_once(settings: Settings, connection: Any) -> None:
    applied = await asyncio.gather(*(migrate(settings) for _ in range(3)))
    assert sorted(applied) == [[], [], ALL]
    assert await migrate(settings) == []
    rows = await connection.fetch("SELECT number, name FROM schema_migrations ORDER BY number")
    assert [row["name"] for row in rows] == ALL


async def test_changed_and_newer_schemas_are_refused(settings: Settings, connection: Any) -> None:
    await migrate(settings)
    await connection.execute("UPDATE schema_migrations SET digest = 'other' WHERE number = 2")
    with pytest.raises(Mismatch, match="was changed after"):
        await migrate(settings)
    await connection.execute("INSERT INTO schema_migrations VALUES (99, 'later', 'x')")
    with pytest.raises(Mismatch, match="schema version 99"):
        await migrate(settings)


async def test_rows_have_the_columns_of_their_tables(settings: Settings, connection: Any) -> None:
    await migrate(settings)
    for table in TABLES:
        rows = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 "
            "ORDER BY ordinal_position",
            table.name,
        )
        assert tuple(row["column_name"] for row in rows) == table.columns


async def test_everything_is_described(settings: Settings, connection: Any) -> None:
    await migrate(settings)
    undescribed = await connection.fetch(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum >= 0 "
        "AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL "
        "UNION SELECT relname, '' FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'v') AND obj_description(oid) IS NULL"
    )
    assert undescribed == []


async def test_wrong_address_and_login_are_said(settings: Settings) -> None:
    address = settings.need("postgres")
    nobody = f"postgresql://a:b@127.0.0.1:{free_ports(1)[0]}/c"
    with pytest.raises(Unavailable, match="does not answer"):
        await connect(load_settings(postgres=nobody), "test")
    with pytest.raises(InventoryError, match="refuses the login"):
        await connect(load_settings(postgres=address.replace("secret", "wrong")), "test")


# --- functions ------------------------------------------------------------------------------------


@pytest.fixture
async def shop(settings: Settings, connection: Any) -> Any:
    """Tea and cups in Cairo, a fee, and sales in two currencies."""
    await migrate(settings)
    log = Log()
    for sku, name, sub, others in (
        ("TEA", "Green tea", "Tea", {"safety_stock": 2}),
        ("CUP", "Cup", "Ware", {}),
        ("OLD", "Old cup", "Ware", {"retired": True}),
        ("FEE", "Postage", None, {"stocked": False}),
    ):
        product = Product(
            id=sku, occurred_at=AT, sku=sku, name=name, category="Food", sub_category=sub
        )
        log.add(topics.PRODUCTS, replace(product, **others))  # type: ignore[arg-type]
    cairo = Location(
        id="l", occurred_at=AT, location_id="cairo-1", name="Cairo", city="Cairo", country="Egypt"
    )
    log.add(topics.LOCATIONS, cairo)
    log.add(topics.STOCK_LEVELS, level("TEA", 12, 1, reserved=3))
    log.add(topics.STOCK_LEVELS, level("CUP", 40, 1))
    for sku in ("OLD", "FEE", "NEW"):
        log.add(topics.STOCK_LEVELS, level(sku, 1, 1))
    log.add(topics.SALES, sale("o-1", 1, 10, sku="TEA"))
    log.add(topics.SALES, sale("o-1", 2, -4, sku="TEA", occurred_at=AT + timedelta(days=1)))
    log.add(topics.SALES, sale("o-2", 3, 2, sku="TEA", currency="EGP"))
    log.add(topics.SALES, sale("o-3", 4, 1, sku="CUP", occurred_at=AT + timedelta(days=40)))
    await store(settings, log)
    return connection


async def test_stock_levels_say_what_is_available_where(shop: Any) -> None:
    rows = await shop.fetch("SELECT * FROM stock_levels(12)")
    assert [tuple(row) for row in rows] == [
        ("CUP", "Cup", "Food", "Ware", "cairo-1", "Cairo", None, "Egypt", 40, 0, 0, 40),
        ("TEA", "Green tea", "Food", "Tea", "cairo-1", "Cairo", None, "Egypt", 12, 3, 0, 7),
    ]
    assert len(await shop.fetch("SELECT * FROM stock_levels(-5)")) == 5


async def test_low_stock_is_available_at_or_below_the_threshold(shop: Any) -> None:
    rows = await shop.fetch("SELECT sku, available FROM check_low_stock(7)")
    assert [tuple(row) for row in rows] == [("NEW", 1), ("TEA", 7)]
    rows = await shop.fetch("SELECT sku FROM check_low_stock(6)")
    assert [row["sku"] for row in rows] == ["NEW"]


async def test_sales_by_product_keep_currencies_apart(shop: Any) -> None:
    rows = await shop.fetch(
        "SELECT sku, currency, units_sold, units_returned, amount_sold, amount_returned, amount, "
        "orders FROM sales_by_product_and_category()"
    )
    assert [tuple(row) for row in rows] == [
        ("TEA", "EGP", 2, 0, Decimal(5), Decimal(0), Decimal(5), 1),
        ("TEA", "EUR", 10, 4, Decimal(25), Decimal(10), Decimal(15), 1),
        ("CUP", "EUR", 1, 0, Decimal("2.5"), Decimal(0), Decimal("2.5"), 1),
    ]


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (
            "daily",
            [
                (date(2026, 3, 1), "EGP", 2, Decimal(5)),
                (date(2026, 3, 1), "EUR", 10, Decimal(25)),
                (date(2026, 3, 2), "EUR", 0, Decimal(-10)),
            ],
        ),
        (
            "weekly",
            [
                (date(2026, 2, 23), "EGP", 2, Decimal(5)),
                (date(2026, 2, 23), "EUR", 10, Decimal(25)),
                (date(2026, 3, 2), "EUR", 0, Decimal(-10)),
            ],
        ),
        (
            "monthly",
            [
                (date(2026, 3, 1), "EGP", 2, Decimal(5)),
                (date(2026, 3, 1), "EUR", 10, Decimal(15)),
            ],
        ),
    ],
)
async def test_sales_report_by_period(
    shop: Any, period: str, expected: list[tuple[Any, ...]]
) -> None:
    rows = await shop.fetch(
        "SELECT period_start, currency, units_sold, amount FROM sales_report($1, $2, $3)",
        period,
        date(2026, 3, 1),
        date(2026, 3, 31),
    )
    assert [tuple(row) for row in rows] == expected


async def test_unknown_period_is_refused_with_a_hint(shop: Any) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="yearly") as caught:
        await shop.fetch("SELECT * FROM sales_report('yearly', '2026-01-01', '2026-02-01')")
    assert caught.value.hint == "Ask for daily, weekly or monthly."


# --- the store ------------------------------------------------------------------------------------


async def test_rebuild_empties_every_table(settings: Settings, shop: Any) -> None:
    await rebuild(settings)
    for table in TABLES:
        assert await shop.fetchval(f"SELECT count(*) FROM {table.name}") == 0


async def test_second_order_of_an_id_adds_no_lines_even_with_news_of_the_first(
    settings: Settings, connection: Any
) -> None:
    await migrate(settings)
    first, second = Log(), Log()
    first.add(topics.ORDERS, placed("o-1", "A", priority="high"))
    second.add(topics.ORDERS, placed("o-1", "B", "C", priority="low"))
    second.add(topics.ORDER_STATES, order_state("o-1", 1, "done"))
    await store(settings, first)
    await store(settings, second)
    row = await connection.fetchrow("SELECT priority, status FROM orders")
    assert tuple(row) == ("high", "done")
    items = await connection.fetch("SELECT line_no, sku FROM order_items")
    assert [tuple(item) for item in items] == [(1, "A")]


async def test_schema_that_is_missing_is_said(settings: Settings, connection: Any) -> None:
    copy = Store(settings)
    with pytest.raises(Mismatch, match="no tables"):
        await copy.begin({})
    await copy.close()
