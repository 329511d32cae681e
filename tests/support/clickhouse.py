"""An embedded ClickHouse and a sink of a test's own, that may be killed; and facts to copy."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
from clickhouse_connect.driver.httpclient import HttpClient

from runtime.kafka import publisher
from runtime.settings import Settings, load_settings
from schemas.events.base import Cause, Event, ShipTo
from schemas.events.orders import SaleLine, SalesRecorded
from schemas.events.stock import Movement, StockMoved
from schemas.topics import Topic
from tests.support.broker import free_ports

DATABASE = "inventory"
USERS = {
    "sink": {"user": "sink", "password": "write & read"},
    "analyst": {"user": "analyst", "password": "read only"},
}
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
WAIT_SECONDS = 60.0


class Warehouse:
    """The embedded ClickHouse in a process: start, kill, stop, start again; its data stay."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "data"
        self.port = free_ports(1)[0]
        self._log = folder / "server.log"
        self._credentials = folder / "users.json"
        self._credentials.write_text(json.dumps(USERS))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, port: int | None = None) -> list[str]:
        module = "inventory.embedded.clickhouse_server"
        path = ["--path", str(self.folder), "--credentials", str(self._credentials)]
        return [sys.executable, "-m", module, "--port", str(port or self.port), *path]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        limit = time.monotonic() + WAIT_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < limit, "ClickHouse did not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.get("/ping")[0] == 200
        return False

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    # --- as clients see it -----------------------------------------------------------------------

    def url(self, role: str = "sink", database: str = DATABASE) -> str:
        user = USERS[role]
        login = f"{user['user']}:{user['password'].replace(' ', '%20').replace('&', '%26')}"
        return f"http://{login}@127.0.0.1:{self.port}/{database}"

    def client(self, role: str = "sink", **options: Any) -> HttpClient:
        """clickhouse-connect's client, as people use it."""
        user = USERS[role]
        client = clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username=user["user"],
            password=user["password"],
            **options,
        )
        assert isinstance(client, HttpClient)
        return client

    def post(
        self,
        sql: str | bytes,
        role: str = "sink",
        headers: dict[str, str] | None = None,
        method: str = "POST",
        **arguments: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """A request as curl makes it: status, headers, body."""
        user = USERS[role]
        login = b64encode(f"{user['user']}:{user['password']}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        body = sql.encode() if isinstance(sql, str) else sql
        if method == "GET":
            arguments, body = {"query": body.decode(), **arguments}, b""
        path = "/?" + urlencode(arguments)
        connection.request(
            method, path, body, {"Authorization": f"Basic {login}", **(headers or {})}
        )
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, dict(response.headers), content

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """A request without a login."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, dict(response.headers), content

    def ask(self, sql: str, role: str = "sink", database: str = DATABASE) -> str:
        """The answer as tab-separated text; fails where there is an error."""
        status, _, content = self.post(sql, role, database=database)
        assert status == 200, content.decode()
        return content.decode().rstrip("\n")


class SinkProcess:
    """The worker `sink-clickhouse` in a process."""

    CODE = (
        "from runtime.settings import load_settings\n"
        "from sinks.clickhouse.sink import main\n"
        "main(load_settings())\n"
    )

    def __init__(self, folder: Path, settings: Settings, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.status_file = folder / "status.json"
        self.log = folder / "sink.log"
        self._environment = {
            **os.environ,
            "INVENTORY_STATE": str(folder),
            "INVENTORY_KAFKA": settings.kafka,
            "INVENTORY_CLICKHOUSE": settings.clickhouse.get_secret_value(),
            "INVENTORY_STATUS_FILE": str(self.status_file),
            "INVENTORY_SKU_PARTITIONS": str(settings.sku_partitions),
            "INVENTORY_ORDER_PARTITIONS": str(settings.order_partitions),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.CODE], env=self._environment, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    def status(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self.status_file.read_text()))
        return {"ready": False, "problem": "", "lag": -1}


# --- facts ---------------------------------------------------------------------------------------


def sale(number: int, *lines: SaleLine, **values: Any) -> SalesRecorded:
    """A sale of order `number`; one line of two units, unless given."""
    occurred_at = values.pop("occurred_at", START + timedelta(minutes=number))
    values = {"recorded_at": occurred_at + timedelta(seconds=1)} | values
    return SalesRecorded(
        id=f"sale-{number}",
        occurred_at=occurred_at,
        **{
            "order_id": f"O-{number}",
            "channel": "pos",
            "currency": "GBP",
            "lines": list(lines) or [line()],
            "cause": Cause(topic="orders", partition=0, offset=number),
            "ship_to": ShipTo(country="Egypt"),
        }
        | values,
    )


def line(sku: str = "TEA-250", quantity: int = 2, price: str = "1.5000", **values: Any) -> SaleLine:
    amount = values.pop("amount", Decimal(price) * quantity)
    return SaleLine(
        **{"line_no": 1, "location_id": "cairo-1"} | values,
        sku=sku,
        quantity=quantity,
        unit_price=Decimal(price),
        amount=amount,
    )


def movement(version: int, delta: int = -1, **values: Any) -> Movement:
    """Movement number `version` of a place: one minute after the one before, known at once."""
    occurred_at = values.pop("occurred_at", START + timedelta(minutes=version))
    recorded_at = values.pop("recorded_at", occurred_at + timedelta(seconds=1))
    return Movement(
        **{
            "location_id": "cairo-1",
            "kind": "sell",
            "on_hand_delta": delta,
            "reserved_delta": 0,
            "in_transit_delta": 0,
            "on_hand": 100 + delta * version,
            "reserved": 0,
            "in_transit": 0,
            "version": version,
            "known_at": recorded_at,
            "command_id": f"command-{version}",
            "partition": 0,
            "offset": version,
        }
        | values,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
    )


def moved(sku: str, *movements: Movement) -> StockMoved:
    return StockMoved(
        id=f"{sku}-{movements[0].version}",
        occurred_at=movements[0].occurred_at,
        sku=sku,
        movements=list(movements),
    )


async def publish(settings: Settings, events: Iterable[tuple[Topic, Event]]) -> int:
    """Put events on their topics; returns how many, when all stand there."""
    async with publisher(settings, "/test", linger_ms=5) as out:
        sent = [await out.send_soon(topic, event) for topic, event in events]
        await asyncio.gather(*sent)
    return len(sent)


def settings_for(kafka: Settings, warehouse: Warehouse, **overrides: Any) -> Settings:
    """The broker's settings and this ClickHouse's together."""
    return load_settings(
        state=warehouse.folder.parent,
        kafka=kafka.kafka,
        sku_partitions=kafka.sku_partitions,
        order_partitions=kafka.order_partitions,
        clickhouse=warehouse.url(),
        clickhouse_analyst=warehouse.url("analyst"),
        **overrides,
    )
