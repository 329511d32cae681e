"""Asks PostgreSQL and ClickHouse what tables, views and functions they hold."""

from __future__ import annotations

from typing import Any

from inventory.generated.store_diagrams import (
    OUR_OWN,
    Column,
    Entity,
    Relation,
    Store,
    postgres_page,
    star_relations,
    warehouse_page,
)
from runtime.settings import Settings
from sinks.clickhouse.store import connect as connect_clickhouse
from sinks.postgres.database import connect as connect_postgres

POSTGRES_COLUMNS = """
SELECT c.relname AS entity, c.relkind IN ('v', 'm') AS is_view,
    coalesce(obj_description(c.oid, 'pg_class'), '') AS entity_note,
    a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
    coalesce(col_description(c.oid, a.attnum), '') AS note,
    EXISTS (SELECT FROM pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS is_primary,
    EXISTS (SELECT FROM pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS is_foreign
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
POSTGRES_RELATIONS = """
SELECT p.relname AS parent, c.relname AS child,
    (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
        FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS label,
    EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND NOT a.attnotnull)
        AS optional,
    EXISTS (SELECT FROM pg_constraint u
        WHERE u.conrelid = f.conrelid AND u.contype IN ('p', 'u') AND u.conkey <@ f.conkey)
        AS single
FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid JOIN pg_class c ON c.oid = f.conrelid
WHERE f.contype = 'f' AND c.relnamespace = current_schema()::regnamespace
ORDER BY parent, child, label
"""
POSTGRES_FUNCTIONS = """
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ')' AS name,
    coalesce(obj_description(p.oid, 'pg_proc'), '') AS note
FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY name
"""
CLICKHOUSE_TABLES = """
SELECT name, engine LIKE '%View' AS is_view, comment,
    engine, partition_key, sorting_key
FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary ORDER BY name
"""
CLICKHOUSE_COLUMNS = """
SELECT table, name, type, comment, is_in_sorting_key
FROM system.columns WHERE database = currentDatabase() ORDER BY table, position
"""


async def store_pages(settings: Settings) -> dict[str, str]:
    """Path -> page, of the two servers that the settings name."""
    return {
        "docs/er-postgres.md": postgres_page(await read_postgres(settings)),
        "docs/er-warehouse.md": warehouse_page(await read_clickhouse(settings)),
    }


async def read_postgres(settings: Settings) -> Store:
    """Raises Unavailable where no server answers."""
    connection = await connect_postgres(settings, "generate")
    try:
        columns = await connection.fetch(POSTGRES_COLUMNS)
        relations = await connection.fetch(POSTGRES_RELATIONS)
        functions = await connection.fetch(POSTGRES_FUNCTIONS)
    finally:
        await connection.close()
    store = Store(
        relations=[Relation(**dict(row)) for row in relations],
        functions=[(f"`{row['name']}`", row["note"]) for row in functions],
    )
    entities: dict[str, Entity] = {}
    for row in columns:
        if row["entity"] in OUR_OWN:
            continue
        if row["entity"] not in entities:
            entity = Entity(row["entity"], row["entity_note"])
            entities[row["entity"]] = entity
            (store.views if row["is_view"] else store.tables).append(entity)
        entities[row["entity"]].columns.append(_postgres_column(row))
    return store


def _postgres_column(row: Any) -> Column:
    keys = [name for name, is_it in (("PK", "is_primary"), ("FK", "is_foreign")) if row[is_it]]
    return Column(row["name"], row["type"], ", ".join(keys), row["note"], row["nullable"])


async def read_clickhouse(settings: Settings) -> Store:
    """Raises Unavailable where no server answers."""
    client = await connect_clickhouse(settings)
    try:
        tables = await client.query(CLICKHOUSE_TABLES)
        columns = await client.query(CLICKHOUSE_COLUMNS)
    finally:
        await client.close()
    store = Store()
    entities: dict[str, Entity] = {}
    for name, is_view, note, engine, partition, sorting in tables.result_rows:
        if name in OUR_OWN:
            continue
        detail = "" if is_view else f"{engine}; order: `{sorting}`"
        if partition:
            detail += f"; partition: `{partition}`"
        entities[name] = Entity(name, note, detail)
        is_dimension = name.startswith("dim_")
        (store.views if is_view and not is_dimension else store.tables).append(entities[name])
    for entity_name, name, kind, note, in_key in columns.result_rows:
        if entity := entities.get(entity_name):
            # Of a dimension that is a view, the first column is the key.
            is_key = in_key or (not entity.detail and not entity.columns)
            key = "PK" if is_key and entity not in store.views else ""
            entity.columns.append(Column(name, kind, key, note))
    store.relations = star_relations(store.tables)
    return store
