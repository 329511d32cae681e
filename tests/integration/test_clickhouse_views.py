"""The warehouse as analysts see it: migrations, views, two times, sums, and its documentation."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import Mismatch, Unavailable
from runtime.settings import Settings, load_settings
from schemas import topics
from schemas.arrivals import Arrival
from schemas.events.alerts import AlertChanged
from schemas.events.base import ShipTo
from schemas.events.catalog import Customer, Product
from schemas.events.stock import Movement, StockLevel
from schemas.topics import Topic, key_of
from sinks.clickhouse.batch import Batch
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rebuild import TABLES
from sinks.clickhouse.store import Store, connect
from tests.support.clickhouse import START, Warehouse, line, moved, movement, sale

WAREHOUSE_PAGE = Path(__file__).parents[2] / "docs" / "warehouse.md"
FAR = "2100-01-01 00:00:00"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path_factory.mktemp("clickhouse"))
    warehouse.start()
    yield warehouse
    warehouse.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def settings(server: Warehouse) -> Settings:
    return load_settings(state=server.folder.parent, clickhouse=server.url())


class Filler:
    """Brings events into ClickHouse as the sink does, without Kafka."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._offset = 0

    async def __call__(self, *records: tuple[Topic, Any], offset: int | None = None) -> None:
        batch = Batch()
        for topic, event in records:
            self._offset += 1
            at = self._offset if offset is None else offset
            batch.add(event, Arrival(topic.name, 0, at, START, key_of(topic, event)))
        batch.stale.days |= await self.store.days_that_move(batch.products())
        await self.store.write(batch)
        await self.store.refresh(batch.stale)

    async def delete(self, topic: Topic, key: str) -> None:
        self._offset += 1
        batch = Batch()
        batch.add(None, Arrival(topic.name, 0, self._offset, START, key))
        await self.store.write(batch)


@pytest.fixture
async def fill(settings: Settings) -> AsyncIterator[Filler]:
    """An empty warehouse and the way to fill it."""
    await migrate(settings)
    store = Store(await connect(settings))
    await store.empty(TABLES, "")
    yield Filler(store)
    await store.close()


def product(sku: str, name: str, sub_category: str, **values: Any) -> Product:
    return Product(
        id=f"p-{sku}", occurred_at=START, sku=sku, name=name, category="Drinks",
        sub_category=sub_category, **values,
    )  # fmt: skip


def alert(number: int, what: str, old: str, new: str) -> AlertChanged:
    return AlertChanged(
        id=f"a-{number}", occurred_at=START + timedelta(minutes=number), sku="TEA-250",
        location_id="cairo-1", alert_id="A-1", what=what, old_state=old, state=new,  # type: ignore[arg-type]
        level=8, raise_at=10, clear_at=13, threshold_source="default", since=START,
        why="8 are at or below 10", version=number, recorded_at=START,
    )  # fmt: skip


# --- migrations ----------------------------------------------------------------------------------


async def test_migrations_are_safe_twice_and_by_two_at_once(server: Warehouse) -> None:
    fresh = load_settings(state=server.folder.parent, clickhouse=server.url(database="fresh"))
    await asyncio.gather(migrate(fresh), migrate(fresh), migrate(fresh))
    assert await migrate(fresh) == []
    recorded = server.ask(
        "SELECT count(), max(number) FROM schema_migrations FINAL", database="fresh"
    )
    count, newest = recorded.split("\t")
    assert count == newest
    assert (
        server.ask("SELECT count() FROM (SELECT * FROM copy_epochs FINAL)", database="fresh") == "1"
    )


async def test_a_newer_schema_is_not_touched(server: Warehouse) -> None:
    newer = load_settings(state=server.folder.parent, clickhouse=server.url(database="newer"))
    await migrate(newer)
    server.ask("INSERT INTO schema_migrations VALUES (99, '0099_later.sql', 'x')", database="newer")
    with pytest.raises(Mismatch, match="99"):
        await migrate(newer)


async def test_a_server_that_is_away_is_said_in_a_sentence(tmp_path: Path) -> None:
    nobody = load_settings(state=tmp_path, clickhouse="http://a:b@127.0.0.1:1/inventory")
    with pytest.raises(Unavailable, match="ClickHouse does not answer"):
        await migrate(nobody)


# --- documentation -------------------------------------------------------------------------------


def documented() -> dict[str, list[str]]:
    """View -> its columns, as the page's tables list them."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", WAREHOUSE_PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title = section.splitlines()[0]
        name = re.match(r"`(\w+)", title)
        if name:
            found[name[1]] = re.findall(r"^\| `(\w+)` \|", section, flags=re.M)
    return found


async def test_the_page_lists_every_view_with_its_columns(fill: Filler, server: Warehouse) -> None:
    def columns(view: str) -> list[str]:
        parameters = re.findall(
            r"\{(\w+):", server.ask(f"SELECT create_table_query FROM system.tables "
                                    f"WHERE database = 'inventory' AND name = '{view}'")
        )  # fmt: skip
        call = ", ".join(f"{name} = '{FAR}'" for name in dict.fromkeys(parameters))
        of = f"{view}({call})" if call else view
        described = server.ask(f"DESCRIBE (SELECT * FROM {of})", "analyst")
        return [row.split("\t")[0] for row in described.splitlines()]

    views = server.ask(
        "SELECT name FROM system.tables WHERE database = 'inventory' AND engine = 'View' ORDER BY 1"
    ).splitlines()
    page = documented()
    assert sorted(page) == views
    assert {view: columns(view) for view in views} == page


async def test_every_example_on_the_page_runs_for_an_analyst(
    fill: Filler, server: Warehouse
) -> None:
    examples = re.findall(r"```sql\n(.*?)```", WAREHOUSE_PAGE.read_text(encoding="utf-8"), re.S)
    assert len(examples) >= 8
    for example in examples:
        server.ask(example, "analyst")


# --- sales ---------------------------------------------------------------------------------------


async def test_a_sale_is_a_row_with_what_its_keys_refer_to(fill: Filler, server: Warehouse) -> None:
    await fill(
        (topics.PRODUCTS, product("TEA-250", "Tea 250 g", "Tea")),
        (topics.CUSTOMERS,
         Customer(id="c", occurred_at=START, customer_id="C-1", segment="Consumer")),
        (topics.SALES,
         sale(1, line(quantity=2), line("CUP", -1, line_no=2), customer_id="C-1",
              priority="high", ship_to=ShipTo(country="Egypt", city="Cairo", market="Africa"))),
    )  # fmt: skip
    asked = (
        "SELECT order_id, line_no, channel, location_id, ship_to_country, ship_to_city, market,"
        " segment, order_priority, sku, product_name, category, sub_category, quantity, amount,"
        " currency FROM sales ORDER BY line_no"
    )
    assert server.ask(asked, "analyst").splitlines() == [
        "O-1\t1\tpos\tcairo-1\tEgypt\tCairo\tAfrica\tConsumer\thigh\tTEA-250\tTea 250 g\tDrinks"
        "\tTea\t2\t3\tGBP",
        "O-1\t2\tpos\tcairo-1\tEgypt\tCairo\tAfrica\tConsumer\thigh\tCUP\t\t\t\t-1\t-1.5\tGBP",
    ]


async def test_a_replay_shows_nothing_twice(fill: Filler, server: Warehouse) -> None:
    records = [
        (topics.SALES, sale(1)),
        (topics.STOCK_MOVEMENTS, moved("TEA-250", movement(1))),
        (topics.LOW_STOCK_ALERTS, alert(1, "raised", "ok", "low")),
    ]
    for topic, event in records * 3:
        await fill((topic, event), offset=5)
    for asked, expected in (
        ("SELECT sum(quantity), count() FROM sales", "2\t1"),
        ("SELECT sum(quantity), sum(orders) FROM sales_by_quarter", "2\t1"),
        ("SELECT count() FROM stock_movements", "1"),
        (f"SELECT sum(on_hand) FROM stock_as_of(at='{FAR}', known_by='{FAR}')", "-1"),
        ("SELECT count() FROM alerts WHERE sku = 'TEA-250' AND state = 'low'", "1"),
    ):
        assert server.ask(asked, "analyst") == expected, asked


async def test_currencies_are_never_summed(fill: Filler, server: Warehouse) -> None:
    await fill((topics.SALES, sale(1)), (topics.SALES, sale(2, currency="EUR")))
    for view in ("sales_by_quarter", f"sales_by_quarter_as_of(known_by='{FAR}')"):
        found = server.ask(f"SELECT currency, gross_amount FROM {view} ORDER BY currency")
        assert found == "EUR\t3\nGBP\t3"


async def test_a_product_that_moves_takes_its_sales_along(fill: Filler, server: Warehouse) -> None:
    asked = "SELECT sub_category, quantity, orders FROM sales_by_quarter ORDER BY 1"
    await fill((topics.SALES, sale(1)), (topics.SALES, sale(2, line("CUP"))))
    assert server.ask(asked) == "\t4\t2"
    await fill((topics.PRODUCTS, product("TEA-250", "Tea", "Tea")))
    assert server.ask(asked) == "\t2\t1\nTea\t2\t1"
    await fill((topics.PRODUCTS, product("CUP", "Cup", "Tea")), offset=70)
    assert server.ask(asked) == "Tea\t4\t2"
    # As after a crash between the row and the sums: the same record comes again.
    server.ask("TRUNCATE TABLE sales_quarterly")
    await fill((topics.PRODUCTS, product("CUP", "Cup", "Tea")), offset=70)
    assert server.ask(asked) == "Tea\t4\t2"


async def test_sums_are_those_of_the_facts_whatever_the_order(
    fill: Filler, server: Warehouse
) -> None:
    """The sums that a sink keeps and the ones computed from all facts are the same."""
    chance = random.Random(7)
    names = [f"SKU-{n}" for n in range(12)]
    records: list[tuple[Topic, Any]] = []
    for number in range(300):
        lines = [
            line(chance.choice(names), chance.choice([3, 1, -1]), line_no=n + 1)
            for n in range(chance.randint(1, 3))
        ]
        order = chance.randint(1, 120)  # web orders ship in parts, on several days
        records.append(
            (
                topics.SALES,
                sale(
                    number,
                    *lines,
                    order_id=f"W-{order}" if order % 2 else f"P-{number}",
                    channel="web" if order % 2 else "pos",
                    currency=chance.choice(["GBP", "EUR"]) if order % 2 == 0 else "GBP",
                    occurred_at=START + timedelta(hours=chance.randint(0, 9000)),
                    ship_to=ShipTo(country=chance.choice(["Egypt", "Oman"])),
                ),
            )
        )
    for name in names:
        for _ in range(3):
            moves = product(name, name, chance.choice(["Tea", "Cups", "Pots"]))
            records.insert(chance.randrange(len(records)), (topics.PRODUCTS, moves))
    for start in range(0, len(records), 23):
        await fill(*records[start : start + 23])
    asked = "SELECT * FROM {} ORDER BY quarter, sub_category, ship_to_country, currency"
    kept = server.ask(asked.format("sales_by_quarter"))
    assert kept == server.ask(asked.format(f"sales_by_quarter_as_of(known_by='{FAR}')"))
    assert len(kept.splitlines()) > 20


# --- stock, at two times -------------------------------------------------------------------------


def as_of(server: Warehouse, at: datetime, known_by: datetime) -> dict[tuple[str, str], int]:
    when = f"at='{at:%Y-%m-%d %H:%M:%S}', known_by='{known_by:%Y-%m-%d %H:%M:%S}'"
    rows = server.ask(f"SELECT sku, location_id, on_hand FROM stock_as_of({when})", "analyst")
    cells = [row.split("\t") for row in rows.splitlines()]
    return {(sku, place): int(on_hand) for sku, place, on_hand in cells}


async def test_what_was_true_and_what_was_known_are_two_things(
    fill: Filler, server: Warehouse
) -> None:
    """100 come on 1 March; 30 left on the 10th, which was known on the 2nd of April only."""
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    late = day + timedelta(days=32)
    await fill(
        (topics.STOCK_MOVEMENTS,
         moved("TEA-250", movement(1, 100, occurred_at=day, kind="receive"),
               movement(2, -30, occurred_at=day + timedelta(days=9), recorded_at=late)))
    )  # fmt: skip
    key = ("TEA-250", "cairo-1")
    fifteenth = day + timedelta(days=14)
    assert as_of(server, fifteenth, fifteenth) == {key: 100}
    assert as_of(server, fifteenth, late + timedelta(days=1)) == {key: 70}
    assert as_of(server, day + timedelta(days=1), late + timedelta(days=1)) == {key: 100}
    assert as_of(server, day - timedelta(days=1), late + timedelta(days=1)) == {}


async def test_any_two_times_give_the_sum_of_what_had_happened_and_was_known(
    fill: Filler, server: Warehouse
) -> None:
    chance = random.Random(11)
    facts: list[tuple[str, Movement]] = []
    for number in range(500):
        occurred_at = START + timedelta(minutes=chance.randint(0, 600_000))
        delay = timedelta(minutes=chance.choice([0, 0, 1, 90_000, 400_000]))
        found = movement(
            number + 1,
            chance.choice([5, -1, -2]),
            occurred_at=occurred_at,
            recorded_at=occurred_at + delay,
            location_id=chance.choice(["cairo-1", "giza-1"]),
        )
        facts.append((chance.choice(["TEA-250", "CUP"]), found))
    for start in range(0, len(facts), 37):
        await fill(*((topics.STOCK_MOVEMENTS, moved(*fact)) for fact in facts[start : start + 37]))
    for _ in range(25):
        at = START + timedelta(minutes=chance.randint(0, 1_000_000))
        known_by = START + timedelta(minutes=chance.randint(0, 1_000_000))
        expected: dict[tuple[str, str], int] = {}
        for sku, found in facts:
            if found.occurred_at <= at and found.known_at <= known_by:
                key = (sku, found.location_id)
                expected[key] = expected.get(key, 0) + found.on_hand_delta
        assert as_of(server, at, known_by) == expected, (at, known_by)


async def test_sales_are_known_from_when_they_were_known(fill: Filler, server: Warehouse) -> None:
    late = START + timedelta(days=40)
    await fill((topics.SALES, sale(1)), (topics.SALES, sale(2, known_at=late)))
    asked = "SELECT sum(quantity) FROM sales_by_quarter_as_of(known_by='{:%Y-%m-%d %H:%M:%S}')"
    assert server.ask(asked.format(START + timedelta(days=1))) == "2"
    assert server.ask(asked.format(late)) == "4"


async def test_levels_are_the_latest_with_what_may_be_promised(
    fill: Filler, server: Warehouse
) -> None:
    def level(on_hand: int, version: int) -> StockLevel:
        return StockLevel(
            sku="TEA-250", location_id="cairo-1", on_hand=on_hand, reserved=2, version=version,
            occurred_at=START, recorded_at=START,
        )  # fmt: skip

    await fill((topics.STOCK_LEVELS, level(8, 2)), offset=9)
    await fill((topics.STOCK_LEVELS, level(12, 1)), offset=8)
    await fill((topics.PRODUCTS, product("TEA-250", "Tea", "Tea", safety_stock=3)))
    asked = "SELECT product_name, on_hand, reserved, available, version FROM stock_levels"
    assert server.ask(asked, "analyst") == "Tea\t8\t2\t3\t2"
    assert server.ask("SELECT sum(on_hand) FROM stock_levels WHERE sku='TEA-250'") == "8"


# --- dimensions ----------------------------------------------------------------------------------


async def test_the_latest_record_of_a_key_counts_and_deletion_retires_it(
    fill: Filler, server: Warehouse
) -> None:
    asked = "SELECT name, price, retired FROM dim_product FINAL WHERE sku = 'TEA-250'"
    await fill((topics.PRODUCTS, product("TEA-250", "New", "Tea", price=Decimal("1.25"),
                                         currency="GBP")), offset=50)  # fmt: skip
    await fill((topics.PRODUCTS, product("TEA-250", "Old", "Tea")), offset=40)
    assert server.ask(asked) == "New\t1.25\tfalse"
    fill._offset = 60
    await fill.delete(topics.PRODUCTS, "TEA-250")
    assert server.ask(asked) == "New\t1.25\ttrue"
    await fill.delete(topics.PRODUCTS, "NEVER-SEEN")
    assert server.ask("SELECT count() FROM dim_product FINAL") == "1"
    await fill((topics.PRODUCTS, product("TEA-250", "Again", "Tea")))
    assert server.ask(asked) == "Again\t\\N\tfalse"


async def test_the_calendar_knows_every_day_an_event_may_carry(
    fill: Filler, server: Warehouse
) -> None:
    assert server.ask("SELECT min(day), max(day), count() FROM dim_date", "analyst") == (
        "1970-01-01\t2199-12-31\t84006"
    )
    asked = "SELECT quarter, month, iso_week, weekday, is_weekend FROM dim_date"
    assert server.ask(f"{asked} WHERE day = '2011-12-10'") == "2011-Q4\t2011-12\t49\t6\t1"


async def test_the_edges_of_time_are_stored_and_summed(fill: Filler, server: Warehouse) -> None:
    edges = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)]
    years = [datetime(year, 7, 1, tzinfo=UTC) for year in range(1971, 2199)]
    await fill(*((topics.SALES, sale(n, occurred_at=at)) for n, at in enumerate(edges + years)))
    found = server.ask("SELECT min(occurred_at), max(occurred_at), count() FROM sales")
    assert found == "1970-01-01 00:00:00.000\t2199-12-31 23:59:59.000\t230"
    quarters = server.ask("SELECT min(quarter), max(quarter), sum(orders) FROM sales_by_quarter")
    assert quarters == "1970-Q1\t2199-Q4\t230"
