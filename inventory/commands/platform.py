"""Commands: up, down, status, doctor, reset."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from inventory.commands.printing import Json, note, print_json, print_table, say
from inventory.commands.stores import named_query, postgres
from inventory.workers import WORKERS
from runtime.errors import InventoryError
from runtime.settings import load_settings

if TYPE_CHECKING:
    from inventory.embedded.launch import Status
    from inventory.embedded.state import StateFolder

WATCH_SECONDS = 0.5
EXIT_INTERRUPTED = 130
SERVERS = ("kafka", "postgres", "clickhouse")


def _embedded(module: str) -> Any:
    """A module of the embedded platform, whose libraries are an extra that may be missing."""
    try:
        return import_module(f"inventory.embedded.{module}")
    except ModuleNotFoundError as error:
        raise InventoryError(
            f"The embedded platform needs the package {error.name}, which is not installed.",
            remedy="Run 'make setup', or pip install 'inventory-manager[embedded]'.",
        ) from error


def state_folder() -> StateFolder:
    """The state folder of the settings."""
    folder: StateFolder = _embedded("state").StateFolder(load_settings().state_dir)
    return folder


def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready; it goes on running.")
    ] = False,
) -> None:
    """Start Kafka, PostgreSQL, ClickHouse and all workers on this machine, and keep them running.

    Without --detach it stays in the foreground, and Ctrl-C stops everything.
    """
    folder = state_folder()
    with stopping_at_ctrl_c(folder):
        started = bring_up(folder, detach=detach)
        if not started:
            note("It was running already.")
            return
        if detach:
            note("'inventory status' shows how it is, 'inventory down' stops it.")
            return
        note("Ctrl-C stops it.")
        _watch(folder)


def bring_up(folder: StateFolder, *, detach: bool, command: Sequence[str] = ()) -> bool:
    """Start the platform with its progress on stderr; False where it was running already.

    command: starts another supervisor than ours, for tests. Raises InventoryError.
    """
    _get_kafka()
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    with console.status("Starting") as spinner:
        shown = _show_changes(console)

        def show(status: Status) -> None:
            spinner.update(status.doing.capitalize() or "Starting")
            shown(status)

        options = {"command": command} if command else {}
        started: bool = _embedded("launch").start(folder, show, detach=detach, **options)
    if started:
        console.print(f"Ready after {time.monotonic() - began:.1f} s, all in {folder.path}.")
    return started


def _get_kafka() -> None:
    """Once: download the jars, and make what lets Kafka start in half the time."""
    jars, aot, kafka = _embedded("jars"), _embedded("aot"), _embedded("kafka")
    if not jars.present():
        size = jars.DOWNLOAD_BYTES
        note(f"Getting Kafka {jars.KAFKA}: {size // 1_000_000} MB from Maven Central, once.")
        columns = (TextColumn("Kafka"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Kafka", total=size)
            jars.fetch(lambda count: progress.advance(task, count))
    if aot.is_missing(kafka.JVM):
        with Console(stderr=True).status("Preparing Kafka for quick starts, once"):
            kafka.make_cache()


def _show_changes(console: Console) -> Callable[[Status], None]:
    """Prints a line whenever a part has changed."""
    shown: dict[str, tuple[str, str]] = {}

    def show(status: Status) -> None:
        for part in status.parts:
            told = (part.state, part.problem)
            if part.state in ("starting", "stopped") or shown.get(part.name) == told:
                continue
            shown[part.name] = told
            said = part.problem or part.url
            console.print(f"  {part.name:16}{part.state:12}{said}", markup=False, soft_wrap=True)

    return show


@contextmanager
def stopping_at_ctrl_c(folder: StateFolder) -> Iterator[None]:
    """Ctrl-C within it stops the platform, once and in good order, and ends the command.

    SIGTERM and SIGHUP to this process mean the same.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # asked twice, it still stops once
        bring_down(folder)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _watch(folder: StateFolder) -> None:
    """Tell what happens to the parts until the platform is stopped."""
    read_status = _embedded("launch").read_status
    shown = _show_changes(Console(stderr=True, highlight=False))
    while True:
        status = read_status(folder)
        if status.phase == "stopped":
            return
        shown(status)
        time.sleep(WATCH_SECONDS)


def down() -> None:
    """Stop everything in good order. All data stay in the state folder."""
    if not bring_down(state_folder()):
        note("Nothing was running.")


def bring_down(folder: StateFolder) -> bool:
    """Stop the platform with its progress on stderr; False where nothing ran."""
    console = Console(stderr=True, highlight=False)
    with console.status("Stopping"):
        stopped: bool = _embedded("launch").stop(folder)
    if stopped:
        console.print(f"Stopped. The data stay in {folder.path}.", soft_wrap=True)
    return stopped


def status(as_json: Json = False) -> None:
    """Each part of the platform: how it is, where, how far behind, and what is wrong."""
    folder = state_folder()
    now: Status = _embedded("launch").read_status(folder)
    parts = list(now.parts) or _never_started()
    worries = attention() if now.ready else []
    if as_json:
        print_json({"parts": parts, "attention": worries})
        return
    print_table(
        ("part", "state", "where", "lag", "problem"),
        [(part.name, part.state, part.url, part.lag, part.problem) for part in parts],
    )
    for sentence in (now.problem, now.failure[0] if now.failure else "", *worries):
        if sentence:
            note(sentence)


def attention() -> list[str]:
    """What people should look at, a sentence each. Empty where PostgreSQL can't say."""
    settings = load_settings()

    async def ask() -> list[str]:
        async with postgres(settings) as connection:
            rows = await connection.fetch(named_query("postgres", "shell_attention"))
        return [row["sentence"] for row in rows]

    try:
        return asyncio.run(ask())
    except InventoryError:
        return []


def _never_started() -> list[Any]:
    new = _embedded("launch").PartStatus
    names = (*SERVERS, *(worker.name for worker in WORKERS))
    return [new(name, "stopped", None, "", None, "") for name in names]


def doctor(as_json: Json = False) -> None:
    """Check whether this machine can run the platform: Python, disk, memory, ports, downloads."""
    checks = _embedded("doctor").examine(state_folder())
    if as_json:
        print_json({"checks": checks})
    else:
        for check in checks:
            say(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.found}")
            if not check.ok:
                say(f"      {check.remedy}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete the state folder with everything in it: events, both stores, logs."""
    folder = state_folder()
    if not folder.exists():
        note(f"There is nothing of this program in {folder.path}.")
        return
    folder.check_version()
    size = sum(file.lstat().st_size for file in folder.path.rglob("*")) / 1_000_000
    note(
        f"This deletes {folder.path} ({size:,.0f} MB) for good: all events, PostgreSQL, "
        "ClickHouse, logs, passwords."
    )
    if not yes:
        if not sys.stdin.isatty():
            raise InventoryError("Nobody is there to ask.", remedy="Add --yes to delete it.")
        typer.confirm("Delete it?", abort=True, err=True)
    bring_down(folder)
    folder.remove()
    note("Deleted.")


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command(epilog="Example: **inventory up --detach**")(up)
    app.command(epilog="Example: **inventory down**")(down)
    app.command(epilog="Example: **inventory status --json**")(status)
    app.command(epilog="Example: **inventory doctor**")(doctor)
    app.command(epilog="Example: **inventory reset --yes**")(reset)
