"""Makes what is missing: topics, PostgreSQL's tables, ClickHouse's tables and views."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from runtime.errors import Unavailable
from runtime.settings import Settings
from runtime.topic_admin import create_topics

Migrate = Callable[[Settings], Awaitable[list[str]]]
RETRY_SECONDS = 0.5


async def migrate(settings: Settings, wait_seconds: float = 0) -> dict[str, list[str]]:
    """What was made, by place. Safe to run twice and by two at once.

    Raises Unavailable where a server does not answer within `wait_seconds`, Mismatch where a
    store or a topic was made by a newer program.
    """
    deadline = time.monotonic() + wait_seconds
    steps: dict[str, Migrate] = {
        "kafka": create_topics,
        "postgres": _migration("sinks.postgres.migrate"),
        "clickhouse": _migration("sinks.clickhouse.migrate"),
    }
    return {place: await _wait_for(step, settings, deadline) for place, step in steps.items()}


def _migration(module: str) -> Migrate:
    # Imported late: who only starts workers needs no client of a store.
    return cast(Migrate, import_module(module).migrate)


async def _wait_for(step: Migrate, settings: Settings, deadline: float) -> list[str]:
    while True:
        try:
            return await step(settings)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(RETRY_SECONDS)
