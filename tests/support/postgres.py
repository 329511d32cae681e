"""A Kafka and a PostgreSQL of a test's own, and sinks as processes, to stop and to kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from inventory.embedded.postgres import Postgres
from runtime.kafka import client_options
from runtime.settings import Settings
from runtime.topic_admin import create_topics
from sinks.postgres.migrate import migrate
from sinks.postgres.tables import TABLES
from tests.support.broker import Broker, free_ports

ROOT = Path(__file__).parents[2]


async def eventually(what: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    """Wait until it is so; fails when it isn't in time."""
    async with asyncio.timeout(seconds):
        while True:
            found = what()
            if found is True or (found is not False and await found):
                return
            await asyncio.sleep(0.05)


class PostgresServer:
    """Start, stop and start again; its data stays."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "postgres.log"
        self._postgres = Postgres(folder / "postgres", free_ports(1)[0], "secret")
        self._process: subprocess.Popen[bytes] | None = None
        self.address = self._postgres.full_url

    async def start(self) -> None:
        self._run()
        await eventually(self._answers)

    def _run(self) -> None:
        self._postgres.prepare()
        # Only a crash of the machine would show the difference.
        command = [*self._postgres.command(), "--fsync=off"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            await (await asyncpg.connect(self.address, timeout=2)).close()
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def stop(self) -> None:
        """Connections are cut, transactions roll back."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None


@dataclass
class Servers:
    kafka: Broker
    postgres: PostgresServer
    settings: Settings

    @classmethod
    async def start(cls, folder: Path) -> Servers:
        kafka = Broker(folder)
        postgres = PostgresServer(folder)
        await asyncio.gather(kafka.start(), postgres.start())
        settings = kafka.settings(
            state=folder / "state",
            postgres=postgres.address,
            sku_partitions=2,
            order_partitions=2,
        )
        return cls(kafka, postgres, settings)

    async def empty(self) -> Any:
        """New topics, a new schema, and a connection to it."""
        await self.new_topics()
        connection = await asyncpg.connect(self.postgres.address)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await migrate(self.settings)
        return connection

    async def new_topics(self) -> None:
        admin = AIOKafkaAdminClient(**client_options(self.settings))
        await admin.start()

        async def gone() -> bool:
            names = [name for name in await admin.list_topics() if not name.startswith("_")]
            if names:
                await admin.delete_topics(names)
            return not names

        await eventually(gone)
        await admin.close()
        await create_topics(self.settings)

    def stop(self) -> None:
        self.postgres.stop()
        self.kafka.kill()


class SinkProcess:
    """The sink as the supervisor runs it."""

    _PROGRAM = (
        "from runtime.settings import load_settings; from sinks.postgres.sink import main; "
        "main(load_settings())"
    )

    def __init__(self, settings: Settings, instance: str = "") -> None:
        settings.state.mkdir(parents=True, exist_ok=True)
        name = f"sink-{len(list(settings.state.iterdir()))}"
        self._status = settings.state / f"{name}.json"
        self._log = settings.state / f"{name}.log"
        environment = {
            **os.environ,
            "INVENTORY_STATE": str(settings.state),
            "INVENTORY_KAFKA": settings.kafka,
            "INVENTORY_POSTGRES": settings.postgres.get_secret_value(),
            "INVENTORY_SKU_PARTITIONS": str(settings.sku_partitions),
            "INVENTORY_ORDER_PARTITIONS": str(settings.order_partitions),
            "INVENTORY_STATUS_FILE": str(self._status),
            "INVENTORY_INSTANCE": instance,
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._PROGRAM], cwd=ROOT, env=environment, stderr=log
            )

    @property
    def status(self) -> dict[str, Any]:
        """What it says of itself; empty before it says anything."""
        return json.loads(self._status.read_text()) if self._status.exists() else {}

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def said(self) -> str:
        return self._log.read_text()


# A placeholder says nothing; those that rows refer to are there because the database insists.
# What nobody refers to any more depends on what became of records within one batch. The ids of
# places and categories are made of their contents, so it's enough to compare who has which.
_SAID = {
    **dict.fromkeys(("suppliers", "products", "locations", "customers"), "version >= 0"),
    "orders": "version >= 0 OR placed_at IS NOT NULL",
    **dict.fromkeys(("categories", "places"), "false"),
}


async def dump(connection: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that say something, sorted."""
    found = {}
    for table in TABLES:
        rows = await connection.fetch(
            f"SELECT * FROM {table.name} WHERE {_SAID.get(table.name, 'true')}"
        )
        found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found
