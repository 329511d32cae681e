"""One part kept running: what is done about a process that freezes, ends or does not listen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from inventory.embedded.keeper import Keeper
from inventory.embedded.parts import WorkerPart
from inventory.embedded.processes import end_leftovers, leftovers
from inventory.embedded.state import StateFolder

LIMIT_SECONDS = 60


class Impatient(WorkerPart):
    """A fake worker whose limits a test can wait for."""

    stop_seconds = 0.5
    starting_seconds = 10.0
    silent_seconds = 1.5


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


@asynccontextmanager
async def keeping(folder: StateFolder, kind: str) -> AsyncIterator[Keeper]:
    part = Impatient(folder, kind, [sys.executable, "-m", "tests.support.fake_worker", kind])
    keeper = Keeper(part, folder, _at_once, lambda: 0, halts=True)
    task = asyncio.create_task(keeper.keep())
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _at_once() -> None:
    return None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - the keeper has no event for every change
            await asyncio.sleep(0.02)


async def test_a_frozen_worker_is_killed_and_started_again(folder: StateFolder) -> None:
    async with keeping(folder, "frozen") as keeper:
        await until(lambda: keeper.state == "running")
        first = keeper.pid
        assert first is not None
        await until(lambda: keeper.state == "restarting")
        assert "no sign of life" in keeper.problem
        assert not psutil.pid_exists(first)
        await until(lambda: keeper.state == "running")
        assert keeper.pid != first


async def test_a_worker_that_freezes_at_one_offset_is_left_alone(folder: StateFolder) -> None:
    async with keeping(folder, "frozen") as keeper:
        await until(lambda: keeper.state == "halted")
        assert "orders/0 at 7" in keeper.problem


async def test_a_stopped_process_is_taken_for_frozen(folder: StateFolder) -> None:
    async with keeping(folder, "good") as keeper:
        await until(lambda: keeper.state == "running")
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await until(lambda: keeper.state == "running" and keeper.pid != first)
        assert keeper.problem == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_ended_by_somebody_it_is_started_again_as_often_as_it_takes(
    folder: StateFolder, number: signal.Signals
) -> None:
    async with keeping(folder, "good") as keeper:
        for _ in range(4):
            await until(lambda: keeper.state == "running")
            assert keeper.pid is not None
            os.kill(keeper.pid, number)
            await until(lambda: keeper.state == "restarting")
        await until(lambda: keeper.state == "running")


async def test_one_that_does_not_listen_is_killed_at_the_end(folder: StateFolder) -> None:
    async with keeping(folder, "deaf") as keeper:
        await until(lambda: keeper.state == "running")
        pid, began = keeper.pid, time.monotonic()
        assert pid is not None
    assert Impatient.stop_seconds <= time.monotonic() - began < Impatient.stop_seconds + 3
    assert not psutil.pid_exists(pid)
    assert keeper.state == "stopped"


async def test_what_a_dead_supervisor_left_is_found_and_ended(folder: StateFolder) -> None:
    async with keeping(folder, "deaf") as keeper:
        await until(lambda: keeper.state == "running")
        assert [process.pid for process in leftovers(folder.path)] == [keeper.pid]
        await asyncio.to_thread(end_leftovers, folder.path, 0.2)
        assert leftovers(folder.path) == []


async def test_processes_of_another_folder_are_not_ours(
    folder: StateFolder, tmp_path: Path
) -> None:
    async with keeping(folder, "good") as keeper:
        await until(lambda: keeper.state == "running")
        assert leftovers(tmp_path / "other") == []
