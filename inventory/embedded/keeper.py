"""Keeps one part running: starts it, looks at it, starts it again when it ended."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from inventory.embedded import processes
from inventory.embedded.logs import explain, tail
from inventory.embedded.parts import Exits, Part, Sign, State
from inventory.embedded.state import StateFolder
from runtime.errors import EXIT_UNAVAILABLE, InventoryError
from runtime.logs import get_logger

LOOK_STARTING_SECONDS, LOOK_SECONDS = 0.1, 2.0
LOOK_LIMIT_SECONDS = 5.0
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 30.0
# A process that was ready so long started well: the next pause is short again.
SETTLED_SECONDS = 10.0
DISK_FULL_BYTES = 1_000_000
# Ends that somebody wished for say nothing about the part.
WISHED_FOR = {0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}

log = get_logger(__name__)


class Keeper:
    """Of one part.

    undisturbed: waits until what the part needs is there. disturbances: how often that was lost
    so far; an exit while it changed says nothing about the part.

    refusal: why the part can't even be started.
    """

    def __init__(
        self,
        part: Part,
        folder: StateFolder,
        undisturbed: Callable[[], Awaitable[None]],
        disturbances: Callable[[], int],
        halts: bool,
    ) -> None:
        self.part = part
        self.state: State = "starting"
        self.problem = ""
        self.refusal: InventoryError | None = None
        self.pid: int | None = None
        self.failures = 0
        self.lost = 0
        self.ready = asyncio.Event()
        self._folder = folder
        self._undisturbed = undisturbed
        self._disturbances = disturbances
        self._halts = halts
        self._exits = Exits()
        self._sign = Sign(alive=False, ready=False)
        self._ready_at = 0.0
        self._idle = False

    def describe(self) -> dict[str, Any]:
        """For `inventory status`."""
        return {
            "name": self.part.name,
            "state": self.state,
            "port": self.part.port,
            "url": self.part.url,
            "lag": self._sign.lag,
            "problem": self.problem,
            "pid": self.pid,
        }

    async def keep(self) -> None:
        """Until cancelled: then the part is stopped in good order."""
        try:
            while self.state != "halted":
                await self._undisturbed()
                await self._live()
        finally:
            self.pid = None
            if self.state != "halted":
                self.state = "stopped"

    async def _live(self) -> None:
        """One life of the process, and the pause after it."""
        before = self._disturbances()
        name, part = self.part.name, self.part
        path = self._folder.rotate_log(name)
        log_start = path.stat().st_size if path.exists() else 0
        try:
            await asyncio.to_thread(part.prepare)
            process = await processes.start(
                self._folder.path, name, part.command(), path, part.stop_signal, part.environment()
            )
        except (InventoryError, OSError) as error:
            self.refusal = error if isinstance(error, InventoryError) else None
            self._failed(str(error).rstrip("."))
            await asyncio.sleep(self._pause())
            return
        self.pid, self._ready_at, self._idle = process.pid, 0.0, False
        frozen = False
        try:
            frozen = await self._watch(process)
        finally:
            if process.returncode is None:
                await processes.stop(process, part.stop_signal, part.stop_seconds)
            part.ended(process.returncode or 0)
            self._lose()
        said = self._explain(process.returncode or 0, frozen, path, log_start)
        log.warning("ended", part=name, code=process.returncode, why=said)
        self._failed(said)
        await asyncio.sleep(self._pause())
        wished_for = not frozen and process.returncode in WISHED_FOR
        excused = wished_for or process.returncode == EXIT_UNAVAILABLE
        if self._halts and not excused and before == self._disturbances():
            await self._judge(process.pid)

    def _explain(self, code: int, frozen: bool, path: Path, log_start: int) -> str:
        if frozen:
            return f"it showed no sign of life for {self.part.silent_seconds:.0f} s and was killed"
        if code in WISHED_FOR:
            # The system kills too, when memory runs out.
            how = f"by {signal.Signals(-code).name}" if code else "in good order"
            return f"somebody ended it {how}"
        if shutil.disk_usage(self._folder.path).free < DISK_FULL_BYTES:
            return "the disk is full; free some space"  # the log could not say so any more
        return explain(tail(path, log_start)) or f"it ended with exit code {code}"

    async def _watch(self, process: asyncio.subprocess.Process) -> bool:
        """Until the process ended (False) or was killed because it showed no sign (True)."""
        part = self.part
        seen, patience = time.monotonic(), part.starting_seconds
        while not await self._ended(process):
            sign = await self._look(process.pid)
            if sign.alive:
                seen, patience = time.monotonic(), part.silent_seconds
            elif time.monotonic() - seen > patience:
                log.error("frozen", part=part.name, pid=process.pid)
                await processes.kill(process)
                return True
        return False

    async def _ended(self, process: asyncio.subprocess.Process) -> bool:
        pause = LOOK_SECONDS if self._ready_at else LOOK_STARTING_SECONDS
        try:
            async with asyncio.timeout(pause):
                await process.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self, pid: int) -> Sign:
        try:
            async with asyncio.timeout(LOOK_LIMIT_SECONDS):
                sign = await self.part.look(pid)
        except TimeoutError:
            sign = Sign(alive=False, ready=False)
        if sign.ready:
            self._be_ready(sign)
        elif self._ready_at and self.part.port is not None:
            self.problem = "it does not answer"
            self._lose()
        elif self._ready_at:
            self.problem = sign.problem
        else:  # until it is ready, why it ended is worth knowing too
            self.problem = sign.problem or self.problem
        self._sign = sign
        return sign

    def _be_ready(self, sign: Sign) -> None:
        now = time.monotonic()
        self._ready_at = self._ready_at or now
        if now - self._ready_at > SETTLED_SECONDS:
            self.failures = 0
            self._idle = self._idle or sign.lag == 0
        self.problem = sign.problem
        self.state = "running"
        self.ready.set()

    def _lose(self) -> None:
        """It can't be relied on: counts as a disturbance of those who need it."""
        if self.ready.is_set():
            self.lost += 1
        self.ready.clear()

    def _failed(self, sentence: str) -> None:
        self.failures += 1
        self.problem = sentence
        self.state = "restarting"
        self.pid = None

    def _pause(self) -> float:
        return min(PAUSE_SECONDS * 2.0 ** (self.failures - 1), PAUSE_SECONDS_MAX)

    async def _judge(self, pid: int) -> None:
        """Three exits in a row at the same positions: leave it, and say where."""
        positions = (await self.part.look(pid)).positions
        if self._exits.add(positions, ran_well=self._idle):
            where = ", ".join(f"{at} at {offset}" for at, offset in self._exits.at.items())
            self.problem = (
                f"ended {self._exits.count} times at the same input ({where or 'none yet'}): "
                f"{self.problem}"
            )
            self.state = "halted"
            log.error("halted", part=self.part.name, positions=self._exits.at)
