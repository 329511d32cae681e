"""How a worker is: ready, alive, how far it has come. For supervisors, probes and Prometheus.

Ready: it holds its partitions and has restored its table. Alive: wherever there is work, its
position moved within `stuck_after_seconds`. A worker that isn't alive ends itself, because only
a restart helps: consumers of Kafka are known to stall without a word.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

from runtime.logs import get_logger
from runtime.settings import Settings

POSITION = Gauge("inventory_position", "next offset to read", ["topic", "partition"])
LAG = Gauge("inventory_lag", "records not yet read", ["topic", "partition"])
RECORDS = Counter("inventory_records_total", "records processed", ["topic"])
DEAD = Counter("inventory_dead_letters_total", "records refused", ["topic", "reason"])
TRANSACTIONS = Counter("inventory_transactions_total", "transactions or batches committed")

EXIT_STUCK = 70
log = get_logger(__name__)


class Health:
    """One a process. Cheap to tell things to; reports once a second."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._settings = settings
        self._worker = worker
        self._ready = False
        self._problem = ""
        self._positions: dict[tuple[str, int], int] = {}
        self._lags: dict[tuple[str, int], int] = {}
        self._moved_at: dict[tuple[str, int], float] = {}

    def ready(self, is_ready: bool) -> None:
        self._ready = is_ready

    def problem(self, sentence: str) -> None:
        """What is wrong, for `inventory status`; empty when it is over."""
        self._problem = sentence

    def moved(self, topic: str, partition: int, position: int, lag: int) -> None:
        """The worker has committed up to `position` (the next offset to read)."""
        at = (topic, partition)
        if self._positions.get(at) != position or lag == 0:
            self._moved_at[at] = time.monotonic()
        self._positions[at] = position
        self._lags[at] = lag
        POSITION.labels(topic, str(partition)).set(position)
        LAG.labels(topic, str(partition)).set(lag)

    def waiting(self, topic: str, partition: int) -> None:
        """Standing still here is right: a store is away, or others own the partition now."""
        self._moved_at[topic, partition] = time.monotonic()

    def lost(self, topic: str, partition: int) -> None:
        for table in (self._positions, self._lags, self._moved_at):
            table.pop((topic, partition), None)

    def stuck(self) -> list[str]:
        """Partitions with work to do that have stood still for too long."""
        limit = time.monotonic() - self._settings.stuck_after_seconds
        return [
            f"{topic}/{partition}"
            for (topic, partition), lag in self._lags.items()
            if lag > 0 and self._moved_at[topic, partition] < limit
        ]

    def snapshot(self) -> dict[str, Any]:
        return {
            "worker": self._worker,
            "pid": os.getpid(),
            "ready": self._ready,
            "problem": self._problem,
            "lag": sum(self._lags.values()),
            "positions": {f"{t}/{p}": n for (t, p), n in sorted(self._positions.items())},
            "written_at": time.time(),
        }

    async def serve(self) -> None:
        """Report until cancelled; end the process when it is stuck."""
        runner = await self._start_http()
        try:
            while True:
                self.write_status()
                if stuck := self.stuck():
                    log.error("stuck", partitions=stuck)
                    os._exit(EXIT_STUCK)
                await asyncio.sleep(1)
        finally:
            if runner is not None:
                await runner.cleanup()

    def write_status(self) -> None:
        """Tell the supervisor how things are, now."""
        path = self._settings.status_file
        if path is None:
            return
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self.snapshot()))
            fresh.replace(path)
        except OSError as error:
            log.warning("status_not_written", path=str(path), error=str(error))

    async def _start_http(self) -> web.AppRunner | None:
        if not self._settings.http_port:
            return None
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", _metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self._settings.http_host, self._settings.http_port).start()
        return runner

    async def _livez(self, _request: web.Request) -> web.Response:
        stuck = self.stuck()
        return web.json_response({"stuck": stuck}, status=503 if stuck else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        ok = self._ready and not self._problem
        return web.json_response(self.snapshot(), status=200 if ok else 503)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})
