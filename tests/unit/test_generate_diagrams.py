"""The pages of the stores: diagrams that Mermaid takes, and tables that say it all."""

from __future__ import annotations

from inventory.generated.store_diagrams import (
    Column,
    Entity,
    Relation,
    Store,
    diagram,
    postgres_page,
    star_relations,
    warehouse_page,
)

ORDERS = Entity(
    "orders",
    "What was ordered.",
    columns=[
        Column("order_id", "text", "PK", "Chosen by the till."),
        Column("placed_at", "timestamp with time zone", nullable=True),
        Column("amount", "numeric(18,4)"),
    ],
)


def test_a_diagram_shows_keys_and_how_many_rows_belong_together() -> None:
    relations = [
        Relation("orders", "order_items", "order_id", optional=False),
        Relation("customers", "orders", "customer_id", optional=True),
        Relation("orders", "invoices", "order_id", optional=False, single=True),
    ]
    lines = diagram([ORDERS], relations).splitlines()
    assert lines[2:5] == [
        '    orders ||--o{ order_items : "order_id"',
        '    customers |o--o{ orders : "customer_id"',
        '    orders ||--o| invoices : "order_id"',
    ]
    assert "        text order_id PK" in lines
    assert "        timestamptz placed_at" in lines
    assert "        numeric_18_4 amount" in lines


def test_types_of_the_warehouse_become_single_words() -> None:
    columns = [
        Column("a", "LowCardinality(Nullable(String))"),
        Column("b", "DateTime64(3, 'UTC')"),
        Column("c", "Array(LowCardinality(String))"),
    ]
    text = diagram([Entity("fact_x", columns=columns)], [])
    for shown in ("String a", "DateTime64_3 b", "Array_LowCardinality_String c"):
        assert f"        {shown}\n" in text


def test_a_star_joins_facts_to_dimensions_by_the_name_of_the_key() -> None:
    product = Entity("dim_product", columns=[Column("sku", "String", "PK")])
    date = Entity("dim_date", columns=[Column("day", "Date", "PK")])
    sales = Entity("fact_sales", columns=[Column("sku", "String"), Column("occurred_at", "Date")])
    daily = Entity("sales_daily", columns=[Column("day", "Date", "PK")])
    assert star_relations([product, date, sales, daily]) == [
        Relation("dim_product", "fact_sales", "sku", optional=True),
        Relation("dim_date", "sales_daily", "day", optional=True),
        Relation("dim_date", "fact_sales", "day of occurred_at", optional=False),
    ]


def test_a_page_describes_every_table_view_and_function() -> None:
    view = Entity("open_orders", "Not yet done.", columns=[Column("order_id", "text")])
    store = Store([ORDERS], [view], [], [("`low(threshold bigint)`", "What is low.")])
    page = postgres_page(store)
    assert "## orders\n\nWhat was ordered.\n\n| column | type | key | meaning |" in page
    assert "| `placed_at` | timestamp with time zone or null |  |  |" in page
    assert "## View open_orders\n\nNot yet done.\n\n| column | type | key |" in page
    assert "| `low(threshold bigint)` | What is low. |" in page


def test_a_view_with_parameters_points_to_its_documentation() -> None:
    page = warehouse_page(Store(views=[Entity("stock_as_of")]))
    assert "## View stock_as_of\n\nTakes parameters" in page
