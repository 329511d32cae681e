"""The state folder: everything the embedded platform keeps, in one place that only its owner reads.

version                 of this layout; a newer one is refused
supervisor.lock         held while a supervisor runs; holds its process id
endpoints.json          where the servers are, with passwords; `runtime.settings` reads it
ports.json              the ports, chosen once
secrets.json            passwords, made once
clickhouse-users.json   the same for ClickHouse, as its process wants them
run/                    NAME.json of each worker, supervisor.json
logs/                   NAME.log of each part
kafka/ postgres/ clickhouse/   the servers' data
imports/                what the importers keep
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from runtime.errors import InventoryError
from runtime.settings import ENDPOINTS_FILE

VERSION = 1
EXIT_TAKEN = 3
"""Exit code of a supervisor that found another one in its folder."""
OURS_BEFORE_THE_FIRST_START = {"imports"}
LOG_BYTES_MAX = 10 * 1024 * 1024
# Below the range from which systems take ports for outgoing connections (32768 and above on
# Linux), so that none of them sits on a port of ours while its server restarts.
PORTS = range(17_000, 30_000)


class StateFolder:
    """One platform's folder; see the module for what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def version_file(self) -> Path:
        return self.path / "version"

    @property
    def status_file(self) -> Path:
        return self.path / "run" / "supervisor.json"

    def log_file(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def worker_file(self, name: str) -> Path:
        return self.path / "run" / f"{name}.json"

    def exists(self) -> bool:
        return self.version_file.exists()

    def check_version(self) -> None:
        """Raises InventoryError where a newer program made the folder."""
        try:
            found = int(self.version_file.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise InventoryError(
                f"{self.version_file} cannot be read: {error}",
                remedy="Point --state at another folder, or restore this one from a copy.",
            ) from error
        if found > VERSION:
            raise InventoryError(
                f"{self.path} was made by a newer version of this program (layout {found}, this "
                f"one knows {VERSION}).",
                remedy="Use the newer version, or point --state at another folder.",
            )

    def prepare(self) -> None:
        """Make the folder where it is missing.

        Raises InventoryError where it can't be used: a newer layout, no right to write, no space,
        or a folder that holds other things (`reset` would delete them).
        """
        self.check_version()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = {entry.name for entry in self.path.iterdir()}
            if not self.exists() and held - OURS_BEFORE_THE_FIRST_START:
                raise InventoryError(
                    f"{self.path} is not empty and was not made by this program.",
                    remedy="Point --state (or INVENTORY_STATE) at a folder of its own.",
                )
            for name in ("run", "logs"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            if not self.exists():
                write_private(self.version_file, f"{VERSION}\n")
        except OSError as error:
            raise InventoryError(
                f"The state folder {self.path} cannot be used: {error.strerror}.",
                remedy="Free some space, or point --state at a folder that you may write to.",
            ) from error

    def remove(self) -> None:
        """Delete everything; only a folder that this program made."""
        if self.exists():
            shutil.rmtree(self.path)

    # --- what is remembered ---------------------------------------------------------------------

    def secrets(self) -> dict[str, str]:
        """The passwords by name, made at the first call."""
        path = self.path / "secrets.json"
        if not path.exists():
            names = ("postgres", "clickhouse_sink", "clickhouse_analyst")
            write_json(path, {name: secrets.token_urlsafe(24) for name in names})
        return dict(json.loads(path.read_text()))

    def ports(self) -> dict[str, int]:
        """The ports of the servers: those of last time, or others where somebody took them."""
        path = self.path / "ports.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        ports: dict[str, int] = {}
        for name in ("kafka", "kafka_controller", "postgres", "clickhouse"):
            port = known.get(name)
            if port is None or not port_is_free(port):
                (port,) = free_ports(1, set(ports.values()) | set(known.values()))
            ports[name] = port
        write_json(path, ports)
        return ports

    def write_endpoints(self, endpoints: dict[str, str]) -> None:
        write_json(self.path / ENDPOINTS_FILE, endpoints)

    def rotate_log(self, name: str) -> Path:
        """The log file of a part; a large one is put aside first."""
        path = self.log_file(name)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        return path

    # --- one supervisor -------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the folder; gives False where another process holds it."""
        with (self.path / "supervisor.lock").open("a+") as file:
            if not _locked(file):
                yield False
                return
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield True

    def supervisor(self) -> int | None:
        """The process id of the supervisor that holds this folder; None where none does."""
        try:
            with (self.path / "supervisor.lock").open() as file:
                try:
                    # Shared, so that two who ask do not take each other for the supervisor.
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except (FileNotFoundError, NotADirectoryError):
            pass
        return None


def _locked(file: IO[str]) -> bool:
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)  # perhaps somebody only asks who holds it, see `supervisor`
        else:
            return True
    return False


def write_private(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write a file whole or not at all; only its owner may read it.

    lasting: it is on the disk before anybody sees it, so that it outlives a power cut.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        if lasting:
            os.fsync(file.fileno())
    fresh.replace(path)


def write_json(path: Path, value: Any, *, lasting: bool = True) -> None:
    write_private(path, json.dumps(value, indent=2) + "\n", lasting=lasting)


def port_is_free(port: int) -> bool:
    """Whether a server could listen there on this machine's loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int, taken: set[int] | None = None) -> list[int]:
    """Ports that nobody listens on; raises InventoryError where there are not enough."""
    candidates = random.sample(PORTS, 200 + count)
    found = (port for port in candidates if port not in (taken or ()) and port_is_free(port))
    ports = list(islice(found, count))
    if len(ports) < count:
        raise InventoryError(
            f"No free port was found between {PORTS.start} and {PORTS.stop}.",
            remedy="Stop what listens there ('ss -ltn' lists it).",
        )
    return ports
