"""Records to rows, rows to batches, and the text of migrations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from runtime.errors import InventoryError
from runtime.migrations import load_migrations
from schemas import topics
from schemas.arrivals import Arrival
from schemas.events.base import ShipTo
from schemas.events.catalog import Customer, Product
from schemas.events.stock import SkuState, StockLevel
from sinks.clickhouse.batch import Batch, Stale, is_copied
from sinks.clickhouse.migrate import fill, statements
from sinks.clickhouse.rows import BY_TOPIC, COPIES, DIM_PRODUCT, FACT_SALES, instant
from sinks.clickhouse.store import Address
from tests.support.clickhouse import START, line, moved, movement, sale

RECORDED = datetime(2026, 3, 1, 10, tzinfo=UTC)


def arrival(topic: topics.Topic, offset: int = 7, key: str = "") -> Arrival:
    return Arrival(topic.name, 2, offset, RECORDED, key)


def product(sku: str = "TEA-250", **values: object) -> Product:
    return Product(id=f"p-{sku}", occurred_at=START, sku=sku, name="Tea", **values)  # type: ignore[arg-type]


def level(on_hand: int, version: int) -> StockLevel:
    return StockLevel(
        sku="TEA-250", location_id="cairo-1", on_hand=on_hand, version=version,
        occurred_at=START, recorded_at=RECORDED,
    )  # fmt: skip


def test_every_topic_this_sink_reads_has_rows() -> None:
    readers = {topic.name for topic in topics.TOPICS if "sink-clickhouse" in topic.readers}
    assert set(BY_TOPIC) == readers


def test_a_sale_becomes_one_row_a_line_named_by_its_columns() -> None:
    event = sale(
        1,
        line(quantity=2),
        line("CUP", -1, line_no=2, discount=Decimal("0.15")),
        ship_to=ShipTo(country="Egypt", city="Cairo"),
        customer_id="C-1",
    )
    rows = [dict(zip(FACT_SALES.columns, row, strict=True)) for row in
            BY_TOPIC["sales"].rows(event, arrival(topics.SALES))]  # fmt: skip
    assert [(row["sku"], row["quantity"], row["amount"], row["line"]) for row in rows] == [
        ("TEA-250", 2, Decimal("3.0000"), 0),
        ("CUP", -1, Decimal("-1.5000"), 1),
    ]
    assert rows[0]["ship_to_city"] == "Cairo"
    assert rows[0]["ship_to_state"] == ""
    assert (rows[0]["topic"], rows[0]["partition"], rows[0]["offset"]) == ("sales", 2, 7)


def test_what_nobody_said_was_known_was_known_when_it_was_recorded() -> None:
    def known(known_at: datetime | None) -> str:
        event = sale(1, known_at=known_at, recorded_at=RECORDED)
        row = BY_TOPIC["sales"].rows(event, arrival(topics.SALES))[0]
        return str(dict(zip(FACT_SALES.columns, row, strict=True))["known_at"])

    assert known(None) == instant(RECORDED)
    assert known(START) == instant(START)


def test_times_are_written_in_utc_and_cut_to_milliseconds() -> None:
    cairo = timezone(timedelta(hours=2))
    at = datetime(2026, 1, 1, 1, 59, 59, 999_999, tzinfo=cairo)
    assert instant(at) == "2025-12-31 23:59:59.999"


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.topic.name)
def test_a_table_has_the_columns_that_its_migration_makes(copy) -> None:  # type: ignore[no-untyped-def]
    sql = " ".join(migration.sql for migration in load_migrations("schemas.clickhouse"))
    body = sql.split(f"CREATE TABLE IF NOT EXISTS {copy.table.name} ")[1].split("ENGINE")[0]
    made = [line.split()[0] for line in body.splitlines() if line.startswith("    ")]
    assert tuple(made) == copy.table.columns


def test_no_personal_data_become_rows() -> None:
    event = Customer(
        id="c", occurred_at=START, customer_id="C-1", name="Amal", email="amal@example.org",
        street="Nile 1", city="Cairo", state="Cairo", postal_code="11511", country="Egypt",
        segment="Consumer",
    )  # fmt: skip
    row = BY_TOPIC["customers"].rows(event, arrival(topics.CUSTOMERS))[0]
    assert row[:4] == ["C-1", "Consumer", "Egypt", False]
    assert not {"Amal", "amal@example.org", "Nile 1", "Cairo", "11511"} & set(map(str, row))


def test_ledgers_also_hold_what_is_no_data() -> None:
    levels = BY_TOPIC["stock-levels"]
    assert is_copied(levels, b"TEA-250|cairo-1")
    assert not is_copied(levels, b"TEA-250|")
    assert not is_copied(levels, b"@position|0")
    assert is_copied(BY_TOPIC["products"], b"@HOME")
    assert levels.rows(SkuState(sku="TEA-250"), arrival(topics.STOCK_LEVELS)) == []


def test_of_a_current_state_only_the_last_row_is_sent() -> None:
    batch = Batch()
    batch.add(level(5, 1), arrival(topics.STOCK_LEVELS, 1))
    batch.add(level(3, 2), arrival(topics.STOCK_LEVELS, 2))
    ((_table, rows),) = batch.tables()
    assert [row[2] for row in rows] == [3]


def test_a_deletion_counts_until_the_key_is_written_again() -> None:
    batch = Batch()
    batch.add(None, arrival(topics.PRODUCTS, 1, "TEA-250"))
    assert list(batch.retired[DIM_PRODUCT]) == [("TEA-250",)]
    batch.add(product(), arrival(topics.PRODUCTS, 2, "TEA-250"))
    assert not batch.retired[DIM_PRODUCT]


def test_a_batch_knows_which_sums_it_makes_stale() -> None:
    batch = Batch()
    batch.add(sale(1, occurred_at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC)), arrival(topics.SALES))
    late = movement(1, occurred_at=datetime(2025, 12, 1, tzinfo=UTC))
    batch.add(moved("TEA-250", late, movement(2)), arrival(topics.STOCK_MOVEMENTS))
    assert batch.stale.days == {"2026-02-28"}
    assert batch.stale.months == {"2025-12", "2026-03"}
    assert batch.stale.skus == {"TEA-250"}


def test_the_days_of_a_quarter_are_all_its_days() -> None:
    days = Stale(days={"2024-02-29", "2024-03-01", "2023-12-31"}).quarter_days()
    assert (days[0], days[91], days[92], days[-1]) == (
        "2023-10-01", "2023-12-31", "2024-01-01", "2024-03-31",
    )  # fmt: skip
    assert len(days) == 92 + 91


def test_on_one_server_tables_are_plain_and_on_a_cluster_replicated() -> None:
    for migration in load_migrations("schemas.clickhouse"):
        alone = "\n".join(statements(migration, ""))
        cluster = "\n".join(statements(migration, "shop"))
        assert "Replicated" not in alone
        assert "CLUSTER" not in alone
        assert "$" not in alone + cluster
        made = alone.count("CREATE TABLE") + alone.count("CREATE OR REPLACE VIEW")
        assert cluster.count("ON CLUSTER shop") == made
        assert cluster.count("ENGINE = ReplicatedReplacingMergeTree") == alone.count("ENGINE = ")


def test_a_cluster_name_is_an_identifier() -> None:
    with pytest.raises(InventoryError, match="identifier"):
        fill("${on_cluster}", "shop; DROP TABLE x")


def test_every_statement_may_be_repeated() -> None:
    for migration in load_migrations("schemas.clickhouse"):
        for statement in statements(migration, ""):
            repeatable = ("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE VIEW", "INSERT")
            assert statement.startswith(repeatable), statement[:60]


def test_an_address_needs_its_database() -> None:
    parsed = Address.parse("http://sink:p%40ss@ch.example:8124/inventory")
    assert (parsed.host, parsed.port, parsed.password, parsed.database) == (
        "ch.example", 8124, "p@ss", "inventory",
    )  # fmt: skip
    with pytest.raises(InventoryError, match="another form"):
        Address.parse("ch.example:8123")
