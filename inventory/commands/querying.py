"""Commands: query."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from inventory.commands.printing import Json, counted, note, print_csv, print_json, print_table
from inventory.commands.stores import clickhouse, postgres
from runtime.errors import InventoryError
from runtime.settings import Settings, load_settings

_SELECTS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
Rows = tuple[list[str], list[Sequence[Any]]]
Sql = Annotated[str, typer.Argument(metavar="SQL", help="One statement that reads.")]
Csv = Annotated[bool, typer.Option("--csv", help="A header line, then the rows.")]

app = typer.Typer(
    no_args_is_help=True,
    help="Ask the stores in SQL; nothing can be changed this way.",
    epilog='Example: **inventory query postgres "SELECT * FROM stock_levels(0)"**',
)


async def ask_postgres(settings: Settings, sql: str) -> Rows:
    """Columns and rows of one statement, in a transaction that cannot write."""
    async with postgres(settings) as connection, connection.transaction(readonly=True):
        statement = await connection.prepare(sql)
        columns = [attribute.name for attribute in statement.get_attributes()]
        if not columns:
            # COPY could write files, where the user of the database may.
            raise InventoryError(
                "That statement gives no rows.", remedy="Ask with SELECT, WITH, SHOW or EXPLAIN."
            )
        return columns, [tuple(row) for row in await statement.fetch()]


def ask_clickhouse(settings: Settings, sql: str) -> Rows:
    """Columns and rows of one statement, as the analysts' read-only user."""
    asked = sql.strip().rstrip(";")
    with clickhouse(settings) as client:
        result = client.query(asked, tz_mode="aware")
        if result.column_names or not _SELECTS.match(asked):
            return list(result.column_names), list(result.result_rows)
        # An answer without rows comes without its columns, too.
        described = client.query(f"DESCRIBE TABLE ({asked}\n)").result_rows
        return [str(row[0]) for row in described], []


def show(rows: Rows, *, as_json: bool, as_csv: bool) -> None:
    """A table, JSON (a list of objects) or CSV."""
    columns, listed = rows
    if as_json and as_csv:
        raise InventoryError("An answer is JSON or CSV, not both.", remedy="Leave one out.")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in listed])
    elif as_csv:
        print_csv(columns, listed)
    else:
        print_table(columns, listed, empty="No rows.")
        note(f"{counted(len(listed), 'row')}.")


@app.command(
    "postgres",
    epilog='Example: **inventory query postgres "SELECT sku, on_hand FROM stock_levels(0)" --csv**',
)
def query_postgres(sql: Sql, as_json: Json = False, as_csv: Csv = False) -> None:
    """Ask PostgreSQL: products, places, inventory, orders, alerts as they are now.

    In JSON, numbers with decimals are strings, so that no digit is lost.
    """
    rows = asyncio.run(ask_postgres(load_settings(), sql))
    show(rows, as_json=as_json, as_csv=as_csv)


@app.command(
    "clickhouse",
    epilog='Example: **inventory query clickhouse "SELECT currency, sum(amount) FROM sales '
    'GROUP BY currency"**',
)
def query_clickhouse(sql: Sql, as_json: Json = False, as_csv: Csv = False) -> None:
    """Ask ClickHouse: every sale and movement, and reports over them.

    The views sales, stock_movements, stock_levels, stock_as_of, alerts and sales_by_quarter are
    described in docs/warehouse.md. In JSON, numbers with decimals are strings.
    """
    rows = ask_clickhouse(load_settings(), sql)
    show(rows, as_json=as_json, as_csv=as_csv)


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.add_typer(app, name="query")
