"""Tests wait for what must become true, with a limit; never for time to pass."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

OUTAGE_SECONDS = float(os.environ.get("CHAOS_OUTAGE_SECONDS", "10"))
"""How long a store is away in the tests of outages; `make chaos` makes it longer."""


async def outage(seconds: float = OUTAGE_SECONDS) -> None:
    """An outage is a time: this one passes."""
    await asyncio.sleep(seconds)


async def eventually(
    condition: Callable[[], Any], what: str, seconds: float = 60.0, every: float = 0.1
) -> Any:
    """Ask again and again until a condition (it may be a coroutine function) gives something
    true, and return that; fails with `what` after `seconds`."""
    limit = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < limit, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(every)


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The same where no loop runs."""
    return asyncio.run(eventually(condition, what, seconds))
