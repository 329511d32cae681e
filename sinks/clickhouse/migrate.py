"""Applies the numbered migrations. Safe to run twice and by two at once.

ClickHouse has neither locks nor transactions for this, so every statement may be repeated
(IF NOT EXISTS, OR REPLACE), and so may the record that a migration was applied.
"""

from __future__ import annotations

import re
from string import Template

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.errors import InventoryError
from runtime.migrations import Migration, load_migrations, pending
from runtime.settings import Settings
from sinks.clickhouse.statements import split_statements
from sinks.clickhouse.store import Address, connect, unavailable

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RECORDS = """
CREATE TABLE IF NOT EXISTS schema_migrations ${on_cluster} (
    number UInt32,
    name String,
    digest String
) ENGINE = ${replacing}
ORDER BY number
"""


def fill(sql: str, cluster: str) -> str:
    """A migration's text for a single server (no cluster), or for the cluster of that name.

    On a cluster tables are replicated and statements run on all its servers; the servers' own
    defaults say where replicas meet. Raises InventoryError where the name is no identifier.
    """
    if cluster and not _IDENTIFIER.fullmatch(cluster):
        raise InventoryError(
            f"The ClickHouse cluster {cluster!r} has a name that is no identifier.",
            remedy="Correct INVENTORY_CLICKHOUSE_CLUSTER.",
        )
    return Template(sql).substitute(
        on_cluster=on_cluster(cluster),
        replacing="ReplicatedReplacingMergeTree" if cluster else "ReplacingMergeTree",
    )


def on_cluster(cluster: str) -> str:
    return f"ON CLUSTER {cluster}" if cluster else ""


def statements(migration: Migration, cluster: str) -> list[str]:
    """The statements of a migration, ready to run."""
    return split_statements(fill(migration.sql, cluster))


async def migrate(settings: Settings) -> list[str]:
    """Bring ClickHouse's schema up to date; returns the names of the migrations applied.

    Raises Unavailable where ClickHouse doesn't answer or refuses a statement, and Mismatch where
    its schema is newer than this program or a released migration was changed.
    """
    address = Address.parse(settings.need("clickhouse"))
    cluster = settings.clickhouse_cluster
    client = await connect(settings, database=False)
    try:
        where = on_cluster(cluster)
        # Given by name, because chDB's default database engine lacks what tables here need.
        await client.command(
            f"CREATE DATABASE IF NOT EXISTS `{address.database}` {where} ENGINE = Atomic"
        )
    except ClickHouseError as error:
        raise unavailable(address, error) from error
    finally:
        await client.close()
    client = await connect(settings)
    try:
        await client.command(fill(RECORDS, cluster))
        todo = await to_apply(client)
        for migration in todo:
            for statement in statements(migration, cluster):
                await client.command(statement)
            await client.command(
                "INSERT INTO schema_migrations (number, name, digest) "
                "SELECT {number:UInt32}, {name:String}, {digest:String}",
                parameters={
                    "number": migration.number,
                    "name": migration.name,
                    "digest": migration.digest,
                },
            )
    except ClickHouseError as error:
        raise unavailable(address, error) from error
    finally:
        await client.close()
    return [migration.name for migration in todo]


async def to_apply(client: AsyncClient) -> list[Migration]:
    """The migrations that ClickHouse lacks; raises Mismatch as `runtime.migrations.pending`."""
    found = await client.query("SELECT number, digest FROM schema_migrations FINAL")
    applied = {row[0]: row[1] for row in found.result_rows}
    return pending(load_migrations("schemas.clickhouse"), applied)
