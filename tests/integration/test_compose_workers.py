"""Each program of docker-compose.yml starts with the environment that it gives it.

Only the servers' addresses and the port differ here, since all programs share one machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inventory.workers import WORKERS
from runtime.settings import Settings
from tests.support.compose import ROOT, free_port, services
from tests.support.platform import started

READY_SECONDS = 90
STOP_SECONDS = 30


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Servers of our own: workers with their real names would read what other tests write."""
    with started(tmp_path_factory.mktemp("compose") / "state") as settings:
        yield settings


def test_migrate_finds_every_server(servers: Settings, tmp_path: Path) -> None:
    service = services()["migrate"]
    done = subprocess.run(
        _command(service),
        env=_environment(service, servers, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("up to date") == 3


def test_every_worker_becomes_ready_and_stops_when_told(servers: Settings, tmp_path: Path) -> None:
    """Ready as its health check asks; nothing is written, since its file system is read-only."""
    ports = {worker.name: free_port() for worker in WORKERS}
    with _running(ports, servers, tmp_path) as processes:
        deadline = time.monotonic() + READY_SECONDS
        waiting = set(processes)
        while waiting:
            waiting = {name for name in waiting if not _is_healthy(name, ports[name])}
            ended = [name for name, process in processes.items() if process.poll() is not None]
            assert not ended, _logs(tmp_path, ended)
            assert time.monotonic() < deadline, _logs(tmp_path, waiting)
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in processes.items():
            assert process.wait(STOP_SECONDS) == 0, _logs(tmp_path, [name])
    assert list((tmp_path / "home").iterdir()) == []


@contextmanager
def _running(
    ports: Mapping[str, int], servers: Settings, folder: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    home = folder / "home"
    home.mkdir()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, port in ports.items():
            service = services()[name]
            with (folder / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    _command(service),
                    env=_environment(service, servers, home, port),
                    cwd=home,
                    stdout=log,
                    stderr=log,
                )
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def _command(service: Mapping[str, Any]) -> list[str]:
    """What the image's entry point runs."""
    return [sys.executable, "-m", "inventory.main", *service["command"]]


def _environment(
    service: Mapping[str, Any], servers: Settings, home: Path, port: int = 0
) -> dict[str, str]:
    """As Compose gives it, with the addresses of the servers here; nothing else from outside."""
    here = {
        "INVENTORY_KAFKA": servers.kafka,
        "INVENTORY_POSTGRES": servers.postgres.get_secret_value(),
        "INVENTORY_CLICKHOUSE": servers.clickhouse.get_secret_value(),
        "INVENTORY_HTTP_PORT": str(port),
    }
    given: dict[str, str] = service["environment"]
    moved = {name: here[name] for name in given if name in here}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **given,
        **moved,
    }


def _is_healthy(name: str, port: int) -> bool:
    """What the service's own health check says."""
    kind, python, *rest = services()[name]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "/opt/venv/bin/python")
    here = [part.replace(":8080/", f":{port}/") for part in rest]
    return subprocess.run([sys.executable, *here], capture_output=True).returncode == 0


def _logs(folder: Path, names: Any) -> str:
    return "\n".join(
        f"{name}:\n" + (folder / f"{name}.log").read_text(errors="replace")[-4000:]
        for name in names
    )
