"""A Kafka broker of a test's own, that may be killed."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from inventory.embedded.kafka import Kafka
from runtime.settings import Settings, load_settings
from runtime.topic_admin import create_topics
from tests.support.waiting import eventually

READY_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


class Broker:
    """Start, kill and start again; its data stays."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "kafka.log"
        self._kafka = Kafka(folder / "kafka", *free_ports(2))
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, **overrides: object) -> Settings:
        return load_settings(kafka=self._kafka.url, **overrides)

    async def start(self) -> None:
        self._kafka.prepare()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
                self._kafka.command(),
                stdout=log,
                stderr=log,
                env={**os.environ, **self._kafka.environment()},
            )
        await eventually(self._answers_or_fails, "the broker answers", READY_SECONDS)

    async def _answers_or_fails(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return await self._answers()

    async def _answers(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.url)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except KafkaError:
            return False
        finally:
            await admin.close()

    async def start_with_topics(self) -> None:
        await self.start()
        await create_topics(self.settings())

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
