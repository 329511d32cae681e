"""`docs/er-postgres.md` and `docs/er-warehouse.md`: what the migrations made, read back.

The servers are asked, not the SQL files, so the pages show what is there and not what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory.generated.topics_page import table

MADE = "Made from the migrations by `python -m inventory.generate --stores`; a test fails when it "
OUR_OWN = {"schema_migrations"}


@dataclass(slots=True)
class Column:
    """key: what Mermaid knows of it, such as `PK` or `FK` or `PK, FK`; empty for others."""

    name: str
    type: str
    key: str = ""
    note: str = ""
    nullable: bool = False


@dataclass(slots=True)
class Entity:
    """A table or view. detail: how it is stored, for those who tune it."""

    name: str
    note: str = ""
    detail: str = ""
    columns: list[Column] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Relation:
    """Each row of `child` belongs to one row of `parent`, or to none if it is optional.

    single: no two rows of the child belong to the same parent.
    """

    parent: str
    child: str
    label: str
    optional: bool
    single: bool = False


@dataclass(slots=True)
class Store:
    """A database as its catalogue describes it."""

    tables: list[Entity] = field(default_factory=list)
    views: list[Entity] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    functions: list[tuple[str, str]] = field(default_factory=list)


def postgres_page(store: Store) -> str:
    head = (
        "# PostgreSQL\n\n" + MADE + "differs.\n"
        "What people and the website work with, in third normal form; the SQL is in\n"
        "[schemas/postgres](../schemas/postgres). Everything in it is copied from topics, so it\n"
        "can be dropped and built again ([operations.md](operations.md)).\n"
    )
    parts = [head, diagram(store.tables, store.relations), *map(_described, store.tables)]
    parts += _views(store.views)
    if store.functions:
        parts.append("## Functions\n\n" + table(("function", "answers"), store.functions))
    return "\n".join(parts)


def warehouse_page(store: Store) -> str:
    head = (
        "# Warehouse\n\n" + MADE + "differs.\n"
        "ClickHouse's star schema: facts in the middle, dimensions around them; the SQL is in\n"
        "[schemas/clickhouse](../schemas/clickhouse). Analysts and BI tools use the views, which\n"
        "[warehouse.md](warehouse.md) explains; tables may change.\n"
    )
    parts = [head, diagram(store.tables, store.relations), *map(_described, store.tables)]
    return "\n".join([*parts, *_views(store.views)])


def diagram(entities: Iterable[Entity], relations: Iterable[Relation]) -> str:
    """A Mermaid ER diagram."""
    lines = ["```mermaid", "erDiagram"]
    for relation in relations:
        one = "|o" if relation.optional else "||"
        many = "o|" if relation.single else "o{"
        lines.append(f'    {relation.parent} {one}--{many} {relation.child} : "{relation.label}"')
    for entity in entities:
        lines.append(f"    {entity.name} {{")
        for column in entity.columns:
            key = f" {column.key}" if column.key else ""
            lines.append(f"        {_plain_type(column.type)} {column.name}{key}")
        lines.append("    }")
    return "\n".join([*lines, "```", ""])


def star_relations(entities: Iterable[Entity]) -> list[Relation]:
    """Dimension -> table, wherever a table has a column named like the dimension's one key.

    A fact may come before what it refers to, so none of them is certain to find its row. Facts
    belong to the day on which they happened.
    """
    entities = list(entities)
    keys = {
        entity.name: [column.name for column in entity.columns if column.key]
        for entity in entities
        if entity.name.startswith("dim_")
    }
    found = [
        Relation(name, entity.name, key[0], optional=True)
        for name, key in keys.items()
        if len(key) == 1
        for entity in entities
        if entity.name not in keys and any(c.name == key[0] for c in entity.columns)
    ]
    if "dim_date" in keys:
        facts = (entity.name for entity in entities if entity.name.startswith("fact_"))
        found += [Relation("dim_date", fact, "day of occurred_at", False) for fact in facts]
    return found


def _described(entity: Entity) -> str:
    said = [text for text in (entity.note, entity.detail) if text]
    return "\n\n".join([f"## {entity.name}", *said, _columns(entity)])


def _views(views: Iterable[Entity]) -> list[str]:
    return [
        "\n\n".join([f"## View {view.name}", *([view.note] if view.note else []), _columns(view)])
        for view in views
    ]


def _columns(entity: Entity) -> str:
    if not entity.columns:
        return "Takes parameters: [warehouse.md](warehouse.md) names them and its columns.\n"
    notes = any(column.note for column in entity.columns)
    rows = [
        (
            f"`{column.name}`",
            column.type + (" or null" if column.nullable else ""),
            column.key,
            *([column.note] if notes else []),
        )
        for column in entity.columns
    ]
    return table(("column", "type", "key", *(["meaning"] if notes else [])), rows)


def _plain_type(text: str) -> str:
    """A type as one word, which is all that Mermaid takes."""
    short = {"timestamp with time zone": "timestamptz", "double precision": "float8"}.get(
        text, text
    )
    while wrapped := re.fullmatch(r"(?:LowCardinality|Nullable)\((.*)\)", short):
        short = wrapped[1]
    return re.sub(r"[^A-Za-z0-9_]+", "_", short.split(", '")[0]).strip("_")
