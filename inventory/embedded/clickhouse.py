"""ClickHouse's engine in a process of its own; see `clickhouse_server` for what it speaks."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from inventory.embedded.parts import Sign, answering
from inventory.embedded.state import write_json

DATABASE = "inventory"
SINK, ANALYST = "inventory", "analyst"
ASK_SECONDS = 5


class ClickHouse:
    """folder: holds the data. users_file: where its process reads the passwords."""

    name = "clickhouse"
    stop_signal = signal.SIGTERM
    stop_seconds = 20.0
    starting_seconds = 300.0  # after a crash it may have much to read again
    silent_seconds = 60.0

    def __init__(
        self, folder: Path, users_file: Path, port: int, sink_password: str, analyst_password: str
    ) -> None:
        self.port = port
        self._folder = folder
        self._users_file = users_file
        self._sink = sink_password
        self._analyst = analyst_password

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{DATABASE}"

    @property
    def full_url(self) -> str:
        return f"http://{SINK}:{self._sink}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def analyst_url(self) -> str:
        return f"http://{ANALYST}:{self._analyst}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        users = {
            "sink": {"user": SINK, "password": self._sink},
            "analyst": {"user": ANALYST, "password": self._analyst},
        }
        write_json(self._users_file, users)

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "inventory.embedded.clickhouse_server",
            "--path",
            str(self._folder),
            "--port",
            str(self.port),
            "--credentials",
            str(self._users_file),
        ]

    def environment(self) -> Mapping[str, str]:
        return {}

    async def look(self, pid: int) -> Sign:
        return answering(await self._answers(pid))

    async def _answers(self, pid: int) -> bool:
        """Its head line names its process, so nobody else passes for it."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"GET /ping HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                answer = (await reader.read(64 * 1024)).decode(errors="replace")
                writer.close()
        except (OSError, TimeoutError):
            return False
        return f"x-inventory-server: {pid}\r\n" in answer.lower()

    def ended(self, code: int) -> None:
        """Nothing to do."""
