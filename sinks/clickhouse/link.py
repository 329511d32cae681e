"""Holds on to a ClickHouse that may be away: says so, waits, comes back, forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.errors import Unavailable
from runtime.health import Health
from runtime.logs import get_logger
from runtime.settings import Settings
from sinks.clickhouse.store import Address, Store, close_quietly, connect, unavailable

RETRY_SECONDS_MAX = 5.0
# What takes longer is said, and told to the watchdog: restarting the sink would not help.
SLOW_SECONDS = 5.0
T = TypeVar("T")
log = get_logger(__name__)


class Stopped(Exception):
    """The worker was told to stop while ClickHouse was away."""


class Link:
    """A connection that is made again whenever it breaks.

    stopping: set when the worker shall end.
    standing_still: called at each try, to tell the watchdog that waiting is right.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        stopping: asyncio.Event,
        standing_still: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._address = Address.parse(settings.need("clickhouse"))
        self._health = health
        self._standing_still = standing_still
        self._store: Store | None = None
        self._stopping = stopping
        self._connecting = asyncio.Lock()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def close(self) -> None:
        store, self._store = self._store, None
        await close_quietly(store)

    async def once(self, action: Callable[[Store], Awaitable[T]]) -> T:
        """Do it now, or raise Unavailable."""
        try:
            return await action(await self._connected())
        except (ClickHouseError, OSError, TimeoutError) as error:
            await self.close()
            raise unavailable(self._address, error) from error

    async def _connected(self) -> Store:
        async with self._connecting:
            if self._store is None:
                self._store = Store(await connect(self._settings))
            return self._store

    async def do(self, action: Callable[[Store], Awaitable[T]]) -> T:
        """Do it, however long ClickHouse is away; it may be done more than once.

        Raises Stopped when told to stop meanwhile, and Mismatch, which waiting doesn't cure.
        """
        wait = 0.1
        while True:
            try:
                result = await self._patiently(action)
            except Unavailable as error:
                sentence = f"{error} {error.remedy}".strip()
                self._health.problem(sentence)
                self._standing_still()
                log.warning("clickhouse_away", problem=sentence, next_try_in=wait)
                if await self._stopped_within(wait):
                    raise Stopped from error
                wait = min(2 * wait, RETRY_SECONDS_MAX)
            else:
                self._health.problem("")
                return result

    async def _patiently(self, action: Callable[[Store], Awaitable[T]]) -> T:
        task = asyncio.ensure_future(self.once(action))
        waited = 0.0
        try:
            while not (await asyncio.wait({task}, timeout=SLOW_SECONDS))[0]:
                waited += SLOW_SECONDS
                where = f"{self._address.host}:{self._address.port}"
                self._health.problem(f"ClickHouse at {where} has not answered for {waited:.0f} s.")
                self._standing_still()
                if self.stopping:
                    raise Stopped
            return task.result()
        finally:
            task.cancel()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
