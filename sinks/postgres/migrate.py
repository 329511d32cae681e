"""Brings PostgreSQL's schema up to what this program knows."""

from __future__ import annotations

from typing import Any

from runtime.migrations import Migration, load_migrations, pending
from runtime.settings import Settings
from sinks.postgres.database import AWAY, connect, unavailable

# Any number, the same in every process: whoever holds the lock migrates, the others wait.
_LOCK = 5_072_614_083
_REMEMBER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number bigint PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migrations IS 'Which migrations this database has had.';
COMMENT ON COLUMN schema_migrations.number IS 'Of the migration: 1, 2, 3, ...';
COMMENT ON COLUMN schema_migrations.name IS 'Its file.';
COMMENT ON COLUMN schema_migrations.digest IS 'Of what the file said.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';
"""


async def migrate(settings: Settings) -> list[str]:
    """Apply what is missing, each migration whole or not at all; returns the names applied.

    Safe to run twice and by two at once. Raises Mismatch where the database is newer than this
    program, Unavailable where it does not answer.
    """
    connection = await connect(settings, "migrate", seconds_max=600)
    try:
        # The lock ends with the connection, whatever happens.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_REMEMBER)
        rows = await connection.fetch("SELECT number, digest FROM schema_migrations")
        applied = {row["number"]: row["digest"] for row in rows}
        missing = pending(load_migrations("schemas.postgres"), applied)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    except AWAY as error:
        raise unavailable(error) from error
    finally:
        await connection.close(timeout=10)


async def _apply(connection: Any, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, digest) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.digest,
        )
