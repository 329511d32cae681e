"""The committed pages of the stores show what the migrations make."""

from __future__ import annotations

from inventory.generate import stale
from inventory.generated.store_catalogs import read_clickhouse, read_postgres, store_pages
from runtime.settings import Settings

AGAIN = "with 'inventory up' running: python -m inventory.generate --stores"


async def test_the_pages_of_the_stores_are_current(platform: Settings) -> None:
    assert stale(await store_pages(platform)) == [], AGAIN


async def test_every_column_of_postgres_says_what_it_means(platform: Settings) -> None:
    store = await read_postgres(platform)
    assert store.tables
    silent = [f"{t.name}.{c.name}" for t in store.tables for c in t.columns if not c.note]
    silent += [t.name for t in (*store.tables, *store.views) if not t.note]
    silent += [name for name, note in store.functions if not note]
    assert silent == []


async def test_facts_of_the_warehouse_reach_their_dimensions(platform: Settings) -> None:
    store = await read_clickhouse(platform)
    pairs = {(relation.parent, relation.child) for relation in store.relations}
    assert {("dim_product", "fact_sales"), ("dim_location", "fact_stock_movements")} <= pairs
    assert {("dim_date", "fact_sales"), ("dim_customer", "fact_sales")} <= pairs
