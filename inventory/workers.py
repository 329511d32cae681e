"""The workers by name: what `inventory run` starts and the supervisor keeps running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Worker:
    """module: holds `main(settings)`, which runs until SIGTERM or SIGINT and then returns.

    Any failure ends the process with an exit code that isn't 0; whoever started it, starts it
    again, and it goes on where the last committed step ended.
    """

    name: str
    module: str
    what: str

    def main(self) -> Callable[[Settings], None]:
        # Imported late: Faust must not be loaded into processes that do not need it.
        return cast(Callable[[Settings], None], import_module(self.module).main)


WORKERS = (
    Worker("orders", "stream_processors.orders.agent", "folds orders; commands stock"),
    Worker("stock", "stream_processors.stock.agent", "folds stock; decides who gets it"),
    Worker("alerts", "stream_processors.alerts.agent", "raises and ends low-stock alerts"),
    Worker("timers", "producers.timers", "says when time has passed"),
    Worker("sink-postgres", "sinks.postgres.sink", "copies facts to PostgreSQL"),
    Worker("sink-clickhouse", "sinks.clickhouse.sink", "copies facts to ClickHouse"),
)
BY_NAME = {worker.name: worker for worker in WORKERS}
