"""The embedded platform for tests: real servers, one start for the whole run.

    async def test_something(platform: Settings) -> None: ...

`platform`: Kafka, PostgreSQL and ClickHouse with topics and tables, no workers.
`whole_platform`: the same in a folder of its own, with every worker.
Tests share them: use keys and consumer groups of your own. Who kills servers starts others with
`started`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from inventory.commands.platform import bring_up
from inventory.embedded.launch import SUPERVISOR, Status, read_status, stop
from inventory.embedded.state import StateFolder
from runtime.settings import Settings, load_settings, read_endpoints

# Run as modules: a script's own folder comes first on its path, and `platform` is also a module of
# the standard library.
BARE = (sys.executable, "-m", "tests.support.bare_platform")
POLL_SECONDS = 0.05


def fake(*kinds: str) -> tuple[str, ...]:
    """The command of a platform with these workers of `fake_worker`."""
    return (sys.executable, "-m", "tests.support.fake_platform", *kinds)


def settings_of(state: Path) -> Settings:
    """Of the platform in this folder, whatever servers the environment names."""
    return load_settings(state=state, **read_endpoints(state))


@contextmanager
def started(state: Path, command: Sequence[str] = BARE) -> Iterator[Settings]:
    """A platform in this folder; stopped at the end, its data left."""
    folder = StateFolder(state)
    try:
        bring_up(folder, detach=True, command=command)
        yield settings_of(state)
    finally:
        stop(folder)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The embedded servers with topics and tables, without workers."""
    with started(tmp_path_factory.mktemp("platform") / "state") as settings:
        yield settings


@pytest.fixture(scope="session")
def whole_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The embedded servers with all workers."""
    with started(tmp_path_factory.mktemp("whole") / "state", SUPERVISOR) as settings:
        yield settings


def wait_until(
    folder: StateFolder, condition: Callable[[Status], bool], seconds: float = 90
) -> Status:
    """The status as soon as it meets the condition; fails with the last one when it never does."""
    deadline = time.monotonic() + seconds
    while not condition(status := read_status(folder)):
        if time.monotonic() > deadline:
            pytest.fail(f"the platform did not get there within {seconds} s: {status}")
        time.sleep(POLL_SECONDS)
    return status
