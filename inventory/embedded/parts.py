"""A part of the platform: a server or a worker, as the supervisor sees it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from inventory.embedded.state import StateFolder
from runtime.settings import PREFIX

State = Literal["starting", "running", "restarting", "halted", "stopped"]


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process showed of itself.

    alive: it showed that it runs, since the last look. ready: it does its work.
    problem: its own sentence of what is wrong. lag: records not yet read.
    positions: `topic/partition` -> next offset to read.
    """

    alive: bool
    ready: bool
    problem: str = ""
    lag: int | None = None
    positions: dict[str, int] = field(default_factory=dict)


def answering(yes: bool) -> Sign:
    """Of a server, which is ready when it answers."""
    return Sign(alive=yes, ready=yes)


class Part(Protocol):
    """A program that the supervisor starts, looks at, and stops.

    url: where it is, without a password, for people. stop_signal: ends it cleanly;
    stop_seconds: then it is killed. starting_seconds, silent_seconds: it is taken for frozen,
    killed and started again when it shows no sign so long, before and after its first one.
    """

    name: str
    stop_signal: signal.Signals
    stop_seconds: float
    starting_seconds: float
    silent_seconds: float

    @property
    def port(self) -> int | None: ...

    @property
    def url(self) -> str: ...

    def prepare(self) -> None:
        """Make what a start needs: configuration, an empty data folder. Blocks; before each start.

        Raises InventoryError where that fails.
        """

    def command(self) -> list[str]: ...

    def environment(self) -> Mapping[str, str]:
        """What its process finds in its environment besides what all find."""

    async def look(self, pid: int) -> Sign:
        """How the process is; a server proves that it is this very one that answers."""

    def ended(self, code: int) -> None:
        """Its process ended, with this exit code or by this signal (negative)."""


class WorkerPart:
    """A worker: it tells how it is through its status file (see `runtime.health`)."""

    port = None
    url = ""
    stop_signal = signal.SIGTERM
    stop_seconds = 15.0
    starting_seconds = 120.0
    silent_seconds = 30.0

    def __init__(self, folder: StateFolder, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = list(command)
        self._file = folder.worker_file(name)
        self._written_at = 0.0

    def prepare(self) -> None:
        """Nothing to do."""

    def command(self) -> list[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        return {
            f"{PREFIX}STATUS_FILE": str(self._file),
            # Its lasting name: it gets its partitions back at once when it is started again.
            f"{PREFIX}INSTANCE": self.name,
        }

    async def look(self, pid: int) -> Sign:
        """A worker writes every second: the same file again is no sign of life."""
        try:
            said = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return Sign(alive=False, ready=False)
        ours = said["pid"] == pid
        alive = ours and said["written_at"] != self._written_at
        self._written_at = said["written_at"]
        return Sign(
            alive=alive,
            ready=ours and said["ready"],
            problem=said["problem"] if ours else "",
            lag=said["lag"],
            positions=said["positions"],
        )

    def ended(self, code: int) -> None:
        """Nothing to do."""


HALT_AFTER = 3


@dataclass(slots=True)
class Exits:
    """Counts the exits of a worker in a row at the same input positions: another start will not
    get further then."""

    at: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def add(self, positions: Mapping[str, int], *, ran_well: bool) -> bool:
        """One more; returns whether it was one too many.

        positions: the last that are known; none where it ended before it had any.
        ran_well: it had nothing left to read for a while, so this is another story.
        """
        if ran_well or (positions and dict(positions) != self.at):
            self.count = 0
        self.at = dict(positions) or self.at
        self.count += 1
        return self.count >= HALT_AFTER
