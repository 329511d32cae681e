"""Starts and stops a state folder's supervisor from outside, and reads how its parts are."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inventory.embedded.logs import explain, tail
from inventory.embedded.parts import State
from inventory.embedded.processes import STATE, end_leftovers, end_with_parent
from inventory.embedded.state import EXIT_TAKEN, StateFolder
from runtime.errors import InventoryError

SUPERVISOR = (sys.executable, "-m", "inventory.embedded.main")
POLL_SECONDS = 0.1
START_SECONDS = 300.0
# A supervisor stops workers, then servers, each within a limit; this is more than both.
STOP_SECONDS = 60.0
SILENT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One line of `inventory status`."""

    name: str
    state: State
    port: int | None
    url: str
    lag: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class Status:
    """phase: of the whole; `up` as soon as the workers are started, `stopped` where no supervisor
    runs. doing: its present step.
    problem: of the supervisor itself."""

    phase: str
    doing: str
    failure: tuple[str, str] | None
    parts: tuple[PartStatus, ...]
    problem: str = ""

    @property
    def ready(self) -> bool:
        return self.phase == "up" and all(part.state == "running" for part in self.parts)

    @property
    def halted(self) -> list[PartStatus]:
        return [part for part in self.parts if part.state == "halted"]


OnChange = Callable[[Status], None]


def read_status(folder: StateFolder) -> Status:
    """How the platform is now."""
    running = folder.supervisor() is not None
    try:
        said = json.loads(folder.status_file.read_text())
    except (OSError, ValueError):
        return Status("starting" if running else "stopped", "", None, ())
    parts = tuple(_part(entry, running) for entry in said["parts"])
    failure = tuple(said["failure"]) if said["failure"] else None
    if not running:
        return Status("stopped", "", failure, parts)
    silent = time.time() - said["written_at"]
    problem = (
        f"The supervisor has said nothing for {silent:.0f} s" if silent > SILENT_SECONDS else ""
    )
    return Status(said["phase"], said["doing"], failure, parts, problem)


def _part(entry: dict[str, Any], running: bool) -> PartStatus:
    known = {name: entry[name] for name in PartStatus.__dataclass_fields__}
    if not running:
        known |= {"state": "stopped", "problem": ""}
    return PartStatus(**known)


def start(
    folder: StateFolder,
    on_change: OnChange = lambda _: None,
    *,
    detach: bool = True,
    command: Sequence[str] = SUPERVISOR,
) -> bool:
    """Start the platform and wait until every part is ready; False where it ran already.

    detach: it goes on when this process ends. Raises InventoryError that says which part does
    not get ready, why, and where its log is; a supervisor that came up is left running then.
    """
    folder.prepare()
    deadline = time.monotonic() + START_SECONDS
    supervisor: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        status = read_status(folder)
        on_change(status)
        if status.ready:
            return supervisor is not None
        if supervisor is None and folder.supervisor() is None:
            supervisor = _spawn(folder, detach, command)
        elif supervisor is not None and supervisor.poll() is not None:
            if supervisor.returncode != EXIT_TAKEN:
                raise _did_not_start(folder)
            supervisor = None  # another start was faster: follow that one, or try again
        elif status.halted:
            raise _not_ready(folder, status)
        time.sleep(POLL_SECONDS)
    raise _not_ready(folder, read_status(folder))


def _spawn(folder: StateFolder, detach: bool, command: Sequence[str]) -> subprocess.Popen[bytes]:
    folder.status_file.unlink(missing_ok=True)  # of the last time
    with folder.rotate_log("supervisor").open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder.path,
            env={**os.environ, STATE: str(folder.path)},
            start_new_session=True,  # Ctrl-C in a terminal reaches us, and we tell it once
            preexec_fn=None if detach else end_with_parent(signal.SIGTERM),
        )


def stop(folder: StateFolder, on_change: OnChange = lambda _: None) -> bool:
    """Stop the platform in good order; False where nothing ran."""
    pid = folder.supervisor()
    if pid is None:
        # One that was killed may have left something behind.
        return bool(folder.exists() and end_leftovers(folder.path))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + STOP_SECONDS
    while folder.supervisor() == pid:
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            end_leftovers(folder.path)
            break
        on_change(read_status(folder))
        time.sleep(POLL_SECONDS)
    return True


def _did_not_start(folder: StateFolder) -> InventoryError:
    failure = read_status(folder).failure
    if failure:
        return InventoryError(failure[0], remedy=failure[1])
    path = folder.log_file("supervisor")
    said = explain(tail(path)) or "its log says nothing"
    return InventoryError(f"The platform did not start: {said}.", remedy=f"Its log is {path}.")


def _not_ready(folder: StateFolder, status: Status) -> InventoryError:
    late = [part for part in status.halted or status.parts if part.state != "running"]
    if not late:
        return InventoryError(
            f"The platform did not get ready within {START_SECONDS:.0f} s: "
            f"{status.problem or status.doing or status.phase}.",
            remedy=f"Read {folder.log_file('supervisor')}.",
        )
    part = late[0]
    return InventoryError(
        f"{part.name} is {part.state}, not running: {part.problem or 'it is not ready yet'}.",
        remedy=f"Read {folder.log_file(part.name)}; after a fix run 'inventory down' and "
        "'inventory up'.",
    )
