"""Empties the store, so that the sink copies everything from the topics again."""

from __future__ import annotations

from runtime.settings import Settings
from sinks.postgres.database import AWAY, connect, unavailable
from sinks.postgres.tables import TABLES


async def rebuild(settings: Settings) -> None:
    """Drop all rows and the positions. Schema and migrations stay.

    A running sink finds its positions gone within a second, ends, and is started again by
    whoever supervises it; it then begins at the first offset, of new topics too. Raises
    Unavailable where PostgreSQL does not answer.
    """
    connection = await connect(settings, "rebuild", seconds_max=600)
    names = ", ".join(["stream_positions", *(table.name for table in TABLES)])
    try:
        async with connection.transaction():
            # Every transaction of a sink touches its positions first, so none is under way
            # once this lock is held, and the truncation can't meet one in a deadlock.
            await connection.execute("LOCK TABLE stream_positions IN ACCESS EXCLUSIVE MODE")
            await connection.execute(f"TRUNCATE {names}")
    except AWAY as error:
        raise unavailable(error) from error
    finally:
        await connection.close(timeout=10)
