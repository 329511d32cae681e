"""The supervisor: starts servers, makes topics and tables, starts workers, keeps all running."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inventory.embedded.keeper import Keeper
from inventory.embedded.parts import Part
from inventory.embedded.state import StateFolder, write_json
from runtime.errors import InventoryError
from runtime.logs import get_logger

Phase = Literal["starting", "up", "stopping", "stopped", "failed"]
REPORT_SECONDS = 0.5
FAILED_STARTS_MAX = 3

log = get_logger(__name__)


@dataclass(slots=True)
class Failure:
    """Why the platform did not come up, in a sentence, and the next step."""

    message: str
    remedy: str


class Supervisor:
    """Of one state folder.

    servers: started first, side by side. migrate: run when all of them answer; makes what is
    missing in them. workers: started then. Servers are stopped last.
    """

    def __init__(
        self,
        folder: StateFolder,
        servers: Sequence[Part],
        workers: Sequence[Part],
        migrate: Callable[[], Awaitable[Any]],
    ) -> None:
        self._folder = folder
        self._migrate = migrate
        self._servers = [Keeper(part, folder, _at_once, _never, halts=False) for part in servers]
        self._workers = [
            Keeper(part, folder, self._servers_ready, self._servers_lost, halts=True)
            for part in workers
        ]
        self._phase: Phase = "starting"
        self._doing = ""
        self._failure: Failure | None = None

    async def run(self) -> int:
        """Until SIGTERM, SIGINT or SIGHUP; returns the exit code."""
        told_to_stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, told_to_stop.set)
        reporting = asyncio.create_task(self._report())
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(told_to_stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            self._phase = "stopping"
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            self._phase = "stopped"
        finally:
            reporting.cancel()
            self._write_status()
        return 1 if self._failure else 0

    async def _work(self) -> None:
        """Cancelled, it stops the workers, then the servers: the groups end from inside out."""
        try:
            async with asyncio.TaskGroup() as servers:
                self._doing = "starting the servers"
                self._keep(servers, self._servers)
                await self._servers_up()
                self._doing = "making topics and tables"
                await self._migrate()
                async with asyncio.TaskGroup() as workers:
                    self._phase, self._doing = "up", ""
                    self._keep(workers, self._workers)
                    await asyncio.Event().wait()
        except* InventoryError as errors:
            error = _first(errors)
            log.error("failed", error=str(error))
            self._failure = Failure(str(error), error.remedy)
            self._phase = "failed"

    def _keep(self, group: asyncio.TaskGroup, keepers: Sequence[Keeper]) -> None:
        for keeper in keepers:
            group.create_task(keeper.keep())

    async def _servers_up(self) -> None:
        """Raises InventoryError when one of them fails again and again."""
        ready = asyncio.create_task(self._servers_ready())
        try:
            while not ready.done():
                for keeper in self._servers:
                    if keeper.refusal:
                        raise keeper.refusal
                    if keeper.failures >= FAILED_STARTS_MAX:
                        path = self._folder.log_file(keeper.part.name)
                        raise InventoryError(
                            f"{keeper.part.name} does not start: {keeper.problem}.",
                            remedy=f"Its log is {path}; 'inventory doctor' checks this machine.",
                        )
                await asyncio.wait({ready}, timeout=REPORT_SECONDS)
        finally:
            ready.cancel()

    async def _servers_ready(self) -> None:
        while not all(keeper.ready.is_set() for keeper in self._servers):
            for keeper in self._servers:
                await keeper.ready.wait()

    def _servers_lost(self) -> int:
        return sum(keeper.lost for keeper in self._servers)

    async def _report(self) -> None:
        while True:
            self._write_status()
            await asyncio.sleep(REPORT_SECONDS)

    def _write_status(self) -> None:
        status = {
            "phase": self._phase,
            "doing": self._doing,
            "failure": self._failure and [self._failure.message, self._failure.remedy],
            "parts": [keeper.describe() for keeper in (*self._servers, *self._workers)],
            "written_at": time.time(),
        }
        try:
            write_json(self._folder.status_file, status, lasting=False)
        except OSError as error:
            log.error("status_not_written", error=str(error))


async def _at_once() -> None:
    return None


def _never() -> int:
    return 0


def _first(errors: BaseExceptionGroup[InventoryError]) -> InventoryError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
