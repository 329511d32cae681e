"""The supervisor's process: `python -m inventory.embedded.main`, with INVENTORY_STATE set.

`inventory.embedded.launch` starts it; people use `inventory up`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from inventory.embedded.clickhouse import ClickHouse
from inventory.embedded.kafka import Kafka
from inventory.embedded.logs import SENTENCE
from inventory.embedded.parts import WorkerPart
from inventory.embedded.postgres import Postgres
from inventory.embedded.processes import end_leftovers, forget_foreign_settings
from inventory.embedded.state import EXIT_TAKEN, StateFolder
from inventory.embedded.supervisor import Supervisor
from inventory.migrate import migrate
from inventory.workers import WORKERS
from runtime.errors import InventoryError
from runtime.logs import configure_logs, get_logger
from runtime.settings import Settings, load_settings

MIGRATE_WAIT_SECONDS = 30.0

log = get_logger(__name__)


def worker_commands() -> dict[str, list[str]]:
    """How each worker is started."""
    command = [sys.executable, "-m", "inventory.main", "run"]
    return {worker.name: [*command, worker.name] for worker in WORKERS}


async def migrate_all(settings: Settings) -> None:
    await migrate(settings, MIGRATE_WAIT_SECONDS)


def supervise(
    workers: Mapping[str, Sequence[str]],
    migrate_stores: Callable[[Settings], Awaitable[Any]] = migrate_all,
) -> int:
    """Hold the state folder and run a platform in it; returns the exit code.

    EXIT_TAKEN: another supervisor holds the folder.
    """
    forget_foreign_settings()
    settings = load_settings()
    configure_logs(settings, "supervisor")
    folder = StateFolder(settings.state_dir)
    folder.prepare()
    with folder.lock() as held:
        if not held:
            return EXIT_TAKEN
        ended = end_leftovers(folder.path)
        if ended:
            log.warning("leftovers_ended", processes=ended)
        try:
            return asyncio.run(_build(folder, workers, migrate_stores).run())
        finally:
            end_leftovers(folder.path)


def _build(
    folder: StateFolder,
    workers: Mapping[str, Sequence[str]],
    migrate_stores: Callable[[Settings], Awaitable[Any]],
) -> Supervisor:
    ports, secrets = folder.ports(), folder.secrets()
    kafka = Kafka(folder.path / "kafka", ports["kafka"], ports["kafka_controller"])
    postgres = Postgres(folder.path / "postgres", ports["postgres"], secrets["postgres"])
    clickhouse = ClickHouse(
        folder.path / "clickhouse",
        folder.path / "clickhouse-users.json",
        ports["clickhouse"],
        secrets["clickhouse_sink"],
        secrets["clickhouse_analyst"],
    )
    endpoints = {
        "kafka": kafka.url,
        "postgres": postgres.full_url,
        "clickhouse": clickhouse.full_url,
        "clickhouse_analyst": clickhouse.analyst_url,
    }
    folder.write_endpoints(endpoints)
    settings = load_settings(state=folder.path)
    return Supervisor(
        folder,
        (kafka, postgres, clickhouse),
        [WorkerPart(folder, name, command) for name, command in workers.items()],
        lambda: migrate_stores(settings),
    )


def main() -> int:
    try:
        return supervise(worker_commands())
    except InventoryError as error:
        print(f"{SENTENCE}{error}\n{error.remedy}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{SENTENCE}{error.filename} cannot be used: {error.strerror}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
