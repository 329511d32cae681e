"""The engine inside the process: chDB handles, one a session or request, and what they may do."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import chdb

from inventory.embedded.clickhouse_sql import (
    HARMLESS_TABLE_FUNCTIONS,
    Denied,
    Request,
    refuse_engines,
    refuse_for_analysts,
)
from runtime.errors import InventoryError

User = Literal["sink", "analyst"]

ANALYST_SECONDS = 60
ANALYST_BYTES = 1_000_000_000
SESSION_SECONDS = 60
SESSIONS_MAX = 300
STOP_SECONDS = 10.0
SESSION_IS_LOCKED, TOO_MANY_SESSIONS, UNKNOWN_SETTING, ABORTED = 373, 202, 115, 236
# Formats whose blocks can be written one after the other; others have a head or a foot.
STREAMED = frozenset(("Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"))


@dataclass(slots=True)
class Answer:
    """chunks: the rows, encoded, as they come; errors after the first one come while reading.

    For statements without rows `chunks` is empty and the counts say what was done.
    """

    format: str
    chunks: Iterator[bytes] = field(default_factory=lambda: iter(()))
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Session:
    handle: Any
    lock: threading.Lock
    ends_at: float


def _connect(folder: Path) -> Any:
    connect: Any = chdb.connect  # not annotated
    return connect(str(folder))


class Lease:
    """A handle for the length of a request: `with engine.lease(...) as lease: lease.run(...)`."""

    def __init__(
        self, engine: Engine, user: User, session: _Session | None, read_only: bool
    ) -> None:
        self._engine = engine
        self._user = user
        self._session = session
        self._read_only = read_only
        self._handle = session.handle if session else engine.new_handle(user)
        self._changed: list[str] = []

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            if self._session is None:
                self._handle.close()
                return
            for name in self._changed:
                self._handle.query(f"SET {name} = DEFAULT")
            self._session.lock.release()
        finally:
            self._engine.given_back()

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """The request's database and settings; analysts' settings are not taken."""
        if database:
            self._handle.query("USE `" + database.replace("`", "``") + "`")
        if self._user == "sink":
            for name, value in settings.items():
                if not name.isidentifier():
                    raise Denied(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
                self._handle.query(f"SET {name} = {_literal(value)}")
                self._changed.append(name)
            if self._read_only:
                self._handle.query("SET readonly = 1")

    def run(self, request: Request, default_format: str, parameters: dict[str, str]) -> Answer:
        """Do what is asked, or raise Denied or the engine's error."""
        refuse_engines(request)
        if self._user == "analyst":
            refuse_for_analysts(request, self._engine.table_functions)
        if request.data is not None:
            return self._insert(request, request.data)
        wanted = request.format or default_format
        if request.reads and wanted in STREAMED:
            return self._stream(request, wanted, parameters)
        result = self._handle.query(request.sql, wanted, params=parameters)
        counts = {
            "read_rows": result.storage_rows_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "elapsed_ns": int(result.elapsed() * 1e9),
        }
        return Answer(wanted, iter((result.bytes(),)), counts)

    def _insert(self, request: Request, data: bytes) -> Answer:
        with self._handle.send_insert(request.sql, request.format) as rows:
            rows.append(data)
            done = rows.finish()
        counts = {
            "written_rows": done.rows_written,
            "written_bytes": done.bytes_written,
            "elapsed_ns": int(done.elapsed * 1e9),
        }
        return Answer("TabSeparated", counts=counts)

    def _stream(self, request: Request, wanted: str, parameters: dict[str, str]) -> Answer:
        stream = self._handle.send_query(request.sql, wanted, params=parameters)
        # The first block is computed before anything is answered: most errors come here.
        first = next(stream, None)
        if first is None:
            return Answer(wanted)

        def chunks() -> Iterator[bytes]:
            try:
                yield first.bytes()
                for block in stream:
                    yield block.bytes()
            finally:
                stream.close()

        return Answer(wanted, chunks())


class Engine:
    """The one engine of this process, on its folder.

    Raises InventoryError where another process has the folder or it can't be opened.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock_file = (folder / "server.lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InventoryError(
                f"The ClickHouse folder {folder} is in use by another process.",
                remedy="'inventory status' says what runs; 'inventory down' stops it.",
            ) from error
        try:
            self._root = _connect(folder)
        except RuntimeError as error:
            raise InventoryError(
                f"The ClickHouse folder {folder} cannot be opened: {error}",
                remedy="Its log says why; 'inventory reset' starts anew from the topics.",
            ) from error
        self._lock = threading.Condition()
        self._leases = 0
        self._stopping = False
        self._sessions: dict[tuple[User, str], _Session] = {}
        self.version, self.timezone = self._ask("SELECT version(), timezone()").split("\t")
        listed = self._ask("SELECT name FROM system.table_functions").split("\n")
        names = frozenset(name.lower() for name in listed)
        self.table_functions = names - HARMLESS_TABLE_FUNCTIONS

    def _ask(self, sql: str) -> str:
        return str(self._root.query(sql, "TabSeparated").bytes().decode().strip())

    def new_handle(self, user: User) -> Any:
        handle = _connect(self._folder)
        if user == "analyst":
            # Once readonly is 1, a handle can't undo it, nor any other setting.
            handle.query(
                f"SET max_execution_time = {ANALYST_SECONDS},"
                f" max_memory_usage = {ANALYST_BYTES}, readonly = 1"
            )
        return handle

    def lease(self, user: User, session_id: str, seconds: float, read_only: bool) -> Lease:
        """A handle of its own, or the session's; raises Denied (373) where that is in use.

        read_only: nothing but reading, for this request. Such a handle can't be had from a
        session, because read-only can't be undone.
        """
        now = time.monotonic()
        with self._lock:
            if self._stopping:
                raise Denied(ABORTED, "ABORTED", "The server is stopping")
            if not session_id or read_only:
                self._leases += 1
                return Lease(self, user, None, read_only)
            self._end_old_sessions(now)
            session = self._sessions.get((user, session_id))
            if session is None:
                if len(self._sessions) >= SESSIONS_MAX:
                    raise Denied(
                        TOO_MANY_SESSIONS, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many sessions"
                    )
                session = _Session(self.new_handle(user), threading.Lock(), 0.0)
                self._sessions[user, session_id] = session
            if not session.lock.acquire(blocking=False):
                raise Denied(SESSION_IS_LOCKED, "SESSION_IS_LOCKED", "Session is locked")
            session.ends_at = now + min(max(seconds, 1), 3600)
            self._leases += 1
        return Lease(self, user, session, read_only)

    def given_back(self) -> None:
        with self._lock:
            self._leases -= 1
            self._lock.notify_all()

    def _end_old_sessions(self, now: float) -> None:
        for name, session in list(self._sessions.items()):
            if session.ends_at < now and session.lock.acquire(blocking=False):
                del self._sessions[name]
                session.handle.close()

    def close(self) -> None:
        """Let what runs come to its end, write everything down and let the folder go."""
        with self._lock:
            self._stopping = True
            self._lock.wait_for(lambda: self._leases == 0, STOP_SECONDS)
            for session in self._sessions.values():
                session.handle.close()
            self._sessions.clear()
        self._root.close()
        self._lock_file.close()


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
