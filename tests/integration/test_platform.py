"""The embedded platform as a whole: up, down, kills, restarts, ports, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import clickhouse_connect
import psutil
import pytest
from aiokafka import TopicPartition

from inventory.embedded.launch import read_status, start, stop
from inventory.embedded.processes import leftovers
from inventory.embedded.state import VERSION, StateFolder
from inventory.migrate import migrate
from runtime.errors import InventoryError
from runtime.kafka import new_consumer, new_producer
from runtime.settings import Settings
from tests.support.platform import fake, settings_of, started, wait_until

WORKERS = fake("good", "choking", "moving", "lonely")
SERVERS = ("kafka", "postgres", "clickhouse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    # Spaces, and letters that are not ASCII: paths of real people.
    return StateFolder(tmp_path_factory.mktemp("state") / "Lager Köln 📦")


@pytest.fixture
def settings(folder: StateFolder) -> Iterator[Settings]:
    """A running platform; it goes on from test to test, whatever one did to it."""
    start_fakes(folder)
    return settings_of(folder.path)


@pytest.fixture(scope="module", autouse=True)
def _stopped_at_the_end(folder: StateFolder) -> Iterator[None]:
    yield
    stop(folder)


def start_fakes(folder: StateFolder) -> None:
    """Start it; one of its workers never gets ready, and `start` says so."""
    with pytest.raises(InventoryError, match="choking is halted"):
        start(folder, command=WORKERS)


def pids(folder: StateFolder) -> dict[str, int]:
    parts = json.loads(folder.status_file.read_text())["parts"]
    return {part["name"]: part["pid"] for part in parts if part["pid"]}


def inventory(folder: StateFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inventory.main", "--state", str(folder.path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def exits(folder: StateFolder, part: str) -> int:
    lines = folder.log_file("supervisor").read_text().splitlines()
    return sum(f'"part": "{part}"' in line and '"ended"' in line for line in lines)


def test_status_tells_of_every_part(folder: StateFolder, settings: Settings) -> None:
    wait_until(folder, lambda status: bool(status.halted))
    said = json.loads(inventory(folder, "status", "--json").stdout)
    parts = {part["name"]: part for part in said["parts"]}
    assert list(parts) == [*SERVERS, "good", "choking", "moving", "lonely"]
    assert set(parts["kafka"]) == {"name", "state", "port", "url", "lag", "problem"}
    assert all(parts[name]["state"] == "running" for name in (*SERVERS, "good"))
    assert parts["kafka"]["url"] == settings.kafka
    assert parts["good"]["lag"] == 0
    for name in ("postgres", "clickhouse"):
        assert f":{parts[name]['port']}/" in parts[name]["url"]
        assert "@" not in parts[name]["url"].partition("inventory@")[2]  # no password
    assert "choking" in inventory(folder, "status").stdout


def test_a_worker_is_halted_after_three_exits_at_one_offset(
    folder: StateFolder, settings: Settings
) -> None:
    (halted,) = wait_until(folder, lambda status: bool(status.halted)).halted
    assert halted.name == "choking"
    assert "orders/0 at 7" in halted.problem
    assert "cannot digest the record" in halted.problem
    # Those that get further, or whose server is away, are started again for as long as it takes.
    wait_until(folder, lambda _: exits(folder, "moving") > 3 and exits(folder, "lonely") > 3)
    assert exits(folder, "choking") == 3
    assert [part.name for part in read_status(folder).halted] == ["choking"]


def test_a_second_up_changes_nothing(folder: StateFolder, settings: Settings) -> None:
    before = {name: pid for name, pid in pids(folder).items() if name in (*SERVERS, "good")}
    supervisor = folder.supervisor()
    start_fakes(folder)
    assert folder.supervisor() == supervisor
    assert {name: pid for name, pid in pids(folder).items() if name in before} == before


def test_nothing_listens_outside_this_machine(folder: StateFolder, settings: Settings) -> None:
    supervisor = psutil.Process(folder.supervisor())
    listening = [
        connection.laddr
        for process in (supervisor, *supervisor.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 4
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_passwords_are_read_by_their_owner_only(folder: StateFolder, settings: Settings) -> None:
    for name in ("endpoints.json", "secrets.json", "clickhouse-users.json"):
        assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


async def test_postgres_asks_for_the_password(settings: Settings) -> None:
    url = settings.need("postgres")
    password = url.partition("inventory:")[2].partition("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(password, "guessed"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace("inventory:", "postgres:"))


@pytest.mark.parametrize("name", [*SERVERS, "good"])
def test_a_part_that_dies_is_started_again(
    folder: StateFolder, settings: Settings, name: str
) -> None:
    before = pids(folder)[name]
    os.kill(before, signal.SIGKILL)
    wait_until(folder, lambda _: pids(folder).get(name, before) != before)
    wait_until(folder, lambda status: _state(status, name) == "running")


def _state(status: object, name: str) -> str:
    return next(part.state for part in status.parts if part.name == name)  # type: ignore[attr-defined]


async def test_all_data_outlive_a_kill_of_everything(
    folder: StateFolder, settings: Settings
) -> None:
    await _write(settings)
    supervisor = psutil.Process(folder.supervisor())
    everything = [*supervisor.children(recursive=True), supervisor]
    for process in everything:
        process.suspend()  # so that nobody can do anything about it
    for process in everything:
        process.kill()
    psutil.wait_procs(everything, timeout=10)
    assert read_status(folder).phase == "stopped"
    start_fakes(folder)
    assert await _read(settings_of(folder.path)) == (1, 1, 1)


async def _write(settings: Settings) -> None:
    producer = new_producer(settings)
    await producer.start()
    await producer.send_and_wait("imports", b"{}", b"kill", partition=0)
    await producer.stop()
    connection = await asyncpg.connect(settings.need("postgres"))
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    await connection.close()
    client = clickhouse_connect.get_client(dsn=_server(settings))
    client.command("CREATE TABLE kept (one Int8) ENGINE = MergeTree ORDER BY one")
    client.command("INSERT INTO kept VALUES (1)")
    client.close()


async def _read(settings: Settings) -> tuple[int, int, int]:
    consumer = new_consumer(settings)
    await consumer.start()
    at = TopicPartition("imports", 0)
    ends = await consumer.end_offsets([at])
    await consumer.stop()
    connection = await asyncpg.connect(settings.need("postgres"))
    row = await connection.fetchval("SELECT one FROM kept")
    await connection.close()
    client = clickhouse_connect.get_client(dsn=_server(settings))
    cell = client.command("SELECT one FROM kept")
    client.close()
    return ends[at], row, int(cell)


def _server(settings: Settings) -> str:
    """The database of the sink is made by its migrations, which are not run here."""
    return settings.need("clickhouse").removesuffix("/inventory")


def test_what_a_killed_supervisor_left_frozen_is_ended_by_the_next_start(
    folder: StateFolder, settings: Settings
) -> None:
    supervisor = psutil.Process(folder.supervisor())
    orphans = [psutil.Process(pid) for name, pid in pids(folder).items() if name in SERVERS]
    for process in orphans:
        process.suspend()  # so the signal at its supervisor's death does not end it
    supervisor.kill()
    supervisor.wait(10)
    assert all(process.is_running() for process in orphans)
    start_fakes(folder)
    assert not any(process.is_running() for process in orphans)
    assert not set(pids(folder).values()) & {process.pid for process in orphans}


def test_children_end_with_a_killed_supervisor(folder: StateFolder, settings: Settings) -> None:
    supervisor = psutil.Process(folder.supervisor())
    children = supervisor.children(recursive=True)
    supervisor.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_down_stops_everything_and_a_taken_port_is_replaced(
    folder: StateFolder, settings: Settings
) -> None:
    port = int(settings.kafka.rpartition(":")[2])
    assert inventory(folder, "down").returncode == 0
    assert leftovers(folder.path) == []
    assert {part.state for part in read_status(folder).parts} == {"stopped"}
    assert "Nothing was running" in inventory(folder, "down").stderr
    with socket.create_server(("127.0.0.1", port)):
        start_fakes(folder)
    moved = settings_of(folder.path)
    assert moved.kafka != settings.kafka
    assert moved.postgres == settings.postgres


def test_a_folder_of_a_newer_version_is_refused(folder: StateFolder, tmp_path: Path) -> None:
    newer = StateFolder(tmp_path / "newer")
    newer.prepare()
    newer.version_file.write_text(f"{VERSION + 1}\n")
    done = inventory(newer, "up", "--detach")
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_other_things_is_refused_and_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    done = inventory(StateFolder(tmp_path), "up", "--detach")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    inventory(StateFolder(tmp_path), "reset", "--yes")
    assert (tmp_path / "letters").read_text() == "dear"


def test_reset_asks_and_then_deletes_everything(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    refused = inventory(folder, "reset")
    assert refused.returncode == 1
    assert str(folder.path) in refused.stderr
    assert folder.exists()
    assert inventory(folder, "reset", "--yes").returncode == 0
    assert not folder.path.exists()


def test_the_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    done = inventory(StateFolder(tmp_path / "state"), "doctor", "--json")
    checks = json.loads(done.stdout)["checks"]
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert done.returncode == 0
    assert not (tmp_path / "state").exists()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Servers alone, started by somebody whose environment names a cluster."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INVENTORY_KAFKA", "cluster.example:9092")
        environment.setenv("INVENTORY_KAFKA_SECURITY", "SSL")
        state = tmp_path_factory.mktemp("bare") / "state"
        with started(state, fake()):
            environment.undo()
            yield settings_of(state)


def test_a_cluster_in_the_environment_is_not_taken_for_ours(bare: Settings) -> None:
    assert read_status(StateFolder(bare.state_dir)).ready
    assert bare.kafka.startswith("127.0.0.1:")


async def test_migrations_are_safe_for_two_at_once_and_done_after_one(bare: Settings) -> None:
    both = await asyncio.gather(migrate(bare), migrate(bare))
    for place in ("postgres", "clickhouse"):
        assert any(one[place] for one in both)
    assert await migrate(bare) == {"kafka": [], "postgres": [], "clickhouse": []}


def test_ctrl_c_stops_all_workers_and_servers_once(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    command = [sys.executable, "-m", "inventory.main", "--state", str(folder.path), "up"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        said = []
        for line in up.stderr:
            said.append(line)
            if "Ctrl-C stops it" in line:
                break
        assert read_status(folder).ready, said
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGINT)
        rest = up.stderr.read()
        assert up.wait(60) == 130
    assert rest.count("Stopped.") == 1
    assert "Traceback" not in rest
    assert leftovers(folder.path) == []
