"""Runs a worker: its health told, its end asked for by SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from runtime.health import Health
from runtime.settings import Settings

Work = Callable[[Settings, Health, asyncio.Event], Awaitable[None]]
"""Works until the event is set."""


def run_worker(settings: Settings, name: str, work: Work) -> None:
    """Run until SIGTERM or SIGINT. Whatever the work raises ends the process."""
    asyncio.run(_run(settings, name, work))


async def _run(settings: Settings, name: str, work: Work) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health = Health(settings, name)
    telling = asyncio.create_task(health.serve())
    try:
        await work(settings, health, stop)
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
