"""Child processes: started so that none outlives its supervisor unseen, ended in good order."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from runtime.settings import PREFIX

STATE = f"{PREFIX}STATE"
PART = f"{PREFIX}PART"
# A process that holds these in its environment belongs to the part of the folder that they name.
# Settings of other servers, and of one process: our workers get their own.
FOREIGN = tuple(
    f"{PREFIX}{name}"
    for name in ("KAFKA", "POSTGRES", "CLICKHOUSE", "HTTP_", "INSTANCE", "STATUS_FILE")
)
LEFTOVER_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1


def environment(state: Path, part: str, extra: Mapping[str, str]) -> dict[str, str]:
    """What a child finds in its environment."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", STATE: str(state), PART: part, **extra}


def forget_foreign_settings() -> None:
    """A person's environment may name a cluster; the platform and its workers must not hear it."""
    for name in list(os.environ):
        if name.upper().startswith(FOREIGN):
            del os.environ[name]


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets this signal when the process that starts it dies.

    Only Linux knows such a thing; elsewhere the next start ends what was left over.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), number)

    return ask


async def start(
    state: Path,
    part: str,
    command: Sequence[str],
    log: Path,
    stop_signal: signal.Signals,
    extra: Mapping[str, str],
) -> asyncio.subprocess.Process:
    """Start a part's process; what it prints is added to its log."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state,
            env=environment(state, part, extra),
            preexec_fn=end_with_parent(stop_signal),
        )


async def stop(process: asyncio.subprocess.Process, number: signal.Signals, seconds: float) -> None:
    """End a process: kindly, and by force where it does not end in time."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a frozen process does not hear the other signal
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        await kill(process)


async def kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def leftovers(state: Path) -> list[psutil.Process]:
    """Processes of this folder's parts that no supervisor looks after any more."""
    found = []
    for process in psutil.process_iter():
        try:
            around = process.environ()
            if PART in around and Path(around[STATE]).resolve() == state.resolve():
                found.append(process)
        except (psutil.Error, OSError, KeyError):
            continue  # gone, or another user's
    return [process for process in found if process.pid != os.getpid()]


def end_leftovers(state: Path, seconds: float = LEFTOVER_SECONDS) -> list[str]:
    """End them, kindly first; returns what they were."""
    found = leftovers(state)
    named = [f"{process.pid} ({process.name()})" for process in found if process.is_running()]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()
    _, alive = psutil.wait_procs(found, timeout=seconds)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return named
