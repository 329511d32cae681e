"""Commands: import, quarantine."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inventory.commands.printing import Json, counted, note, print_json, print_table, say
from runtime import clock
from runtime.errors import InventoryError
from runtime.settings import load_settings

# pandas and pandera take half a second to load, so what needs them is imported when it runs.

FAULTS_SHOWN = 10
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

quarantine_app = typer.Typer(
    no_args_is_help=True, help="Rows of imported files that could not be taken, and why."
)


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command("import")(import_file)
    app.add_typer(quarantine_app, name="quarantine")


def import_file(
    source: Annotated[
        str,
        typer.Argument(
            help="online-retail, superstore, products, locations, stock or suppliers.",
            show_default=False,
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The file: CSV, plain or gzip.", show_default=False)],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and publish nothing.")
    ] = False,
    opening_stock: Annotated[
        Literal["fit", "none"],
        typer.Option(
            help="fit: first receive the least that keeps a history's stock from going "
            "below zero. none: take the history as it is."
        ),
    ] = "fit",
    every: Annotated[
        str | None,
        typer.Option(
            help="Import again and again, as often as 30s, 15m, 1h or 1d; Ctrl-C ends it.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Import a file: check it, clean it, publish its rows as events, report every row.

    Importing twice is harmless, and an import that was killed goes on where it was. Rows that
    cannot be taken wait in quarantine. Nothing to be used: exit code 1.
    """
    pause = _seconds(every) if every is not None else None
    while True:
        try:
            _import_once(source, file, dry_run, opening_stock, as_json)
        except InventoryError as error:
            if pause is None:
                raise
            # The next file may be right, and the server back.
            note(f"{error} {error.remedy}")
        if pause is None:
            return
        note(f"Next import in {every}; Ctrl-C ends it.")
        time.sleep(pause)


def _import_once(
    source_name: str,
    file: Path,
    dry_run: bool,
    opening_stock: Literal["fit", "none"],
    as_json: bool,
) -> None:
    from producers.importers.pipeline import Options, run_import  # noqa: PLC0415
    from producers.importers.sources import source_named  # noqa: PLC0415

    source = source_named(source_name)
    options = Options(dry_run=dry_run, opening_stock=opening_stock)
    with _progress() as show:
        report = asyncio.run(run_import(load_settings(), source, file, clock.now, options, show))
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report.usable:
        raise InventoryError(
            f"No row of {file} could be used as {source_name}.",
            remedy="The reasons stand above; --dry-run repeats them."
            if dry_run
            else "'inventory quarantine list' names every row and its reasons.",
        )


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar for each stage on stderr, where it is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield show


def _print_report(report: Any) -> None:
    what = "checked, nothing published" if report.dry_run else report.status
    say(f"{report.file} as {report.source} ({report.variant}, {report.encoding}): {what}")
    published = "would be published" if report.dry_run else "published"
    rows = [
        ("rows read", report.rows_read),
        (published, report.published_rows),
        ("in quarantine", report.quarantined_rows),
        ("published by an earlier run", report.skipped_rows),
    ]
    rows += [(f"cleaned: {rule}", number) for rule, number in sorted(report.cleaned.items())]
    rows += [(f"quarantine: {why}", number) for why, number in sorted(report.quarantined.items())]
    rows += [(f"events on {topic}", number) for topic, number in sorted(report.published.items())]
    print_table(["", "rows"], rows)
    for row in report.faults[:FAULTS_SHOWN]:
        say(f"row {row.row_no}: {'; '.join(row.faults)}")
    if report.quarantined_rows > FAULTS_SHOWN:
        more = report.quarantined_rows - FAULTS_SHOWN
        say(f"... and {counted(more, 'more row')}.")
    for warning in report.warnings:
        say(warning)
    say(f"{report.seconds:.1f} s")


def _seconds(span: str) -> int:
    match = _SPAN.fullmatch(span)
    if match is None or int(match[1]) == 0:
        raise InventoryError(f"{span!r} is no span of time.", remedy="Write 30s, 15m, 1h or 1d.")
    return int(match[1]) * _SECONDS[match[2]]


@quarantine_app.command("list")
def list_rows(
    source: Annotated[
        str | None, typer.Option(help="Only rows of this source.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the rows that wait for a correction, with all that is wrong with each."""
    from producers.importers.quarantine import open_quarantine  # noqa: PLC0415

    with open_quarantine(load_settings().state_dir) as quarantine:
        rows = quarantine.waiting(source)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["number", "source", "file", "row", "what is wrong"],
        [
            (row.id, row.source, row.file, row.row_no, "; ".join(map(str, row.faults)))
            for row in rows
        ],
        empty="Nothing is in quarantine.",
    )


@quarantine_app.command("show")
def show_row(
    number: Annotated[int, typer.Argument(help="As 'quarantine list' numbers it.")],
    as_json: Json = False,
) -> None:
    """Show one row: its cells by column, its faults, and the line as it stood in the file."""
    from producers.importers.quarantine import open_quarantine  # noqa: PLC0415

    with open_quarantine(load_settings().state_dir) as quarantine:
        row = quarantine.get(number)
    if as_json:
        print_json(row)
        return
    say(f"Row {row.row_no} of {row.file} ({row.source}), found {row.found_at}")
    say(f"published {row.published_at}" if row.published_at else "waits for a correction")
    print_table(["column", "cell"], row.cells.items())
    for fault in row.faults:
        say(f"{fault}")
    say(f"the line: {row.raw}")


@quarantine_app.command("retry")
def retry_rows(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Row numbers; none: all that wait.")
    ] = None,
    set_cells: Annotated[
        list[str] | None,
        typer.Option("--set", help="Correct a cell first: COLUMN=VALUE.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish rows that are right now, e.g. **retry 3 --set quantity=12**; twice is harmless.

    Rows that are still wrong stay, with what is wrong with them.
    """
    from producers.importers.quarantine import open_quarantine  # noqa: PLC0415
    from producers.importers.retrying import correct, retry  # noqa: PLC0415
    from producers.importers.sources import source_named  # noqa: PLC0415

    corrections = _corrections(set_cells or [])
    settings = load_settings()
    with open_quarantine(settings.state_dir) as quarantine:
        rows = [quarantine.get(number) for number in numbers or []] or quarantine.waiting()
        if corrections and len(rows) != 1:
            raise InventoryError(
                "A correction belongs to one row.", remedy="Name its number before --set."
            )
        rows = [row for row in rows if row.published_at is None]
        if corrections and rows:
            variant = source_named(rows[0].source).variant(rows[0].variant)
            names = [column.name for column in variant.columns]
            rows = [correct(rows[0], corrections, names)]
        result = asyncio.run(retry(settings, quarantine, rows, clock.now))
    if as_json:
        print_json(result)
    else:
        say(f"{counted(len(result.published), 'row')} published.")
        for number, faults in result.faults.items():
            say(f"{number} stays: {'; '.join(faults)}")
        for warning in result.warnings:
            say(warning)
    if result.faults and not result.published:
        raise InventoryError(
            "No row could be published.", remedy="Correct a cell with --set COLUMN=VALUE."
        )


def _corrections(texts: list[str]) -> dict[str, str]:
    corrections = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not equals or not column:
            raise InventoryError(
                f"{text!r} is no correction.", remedy="Write it as --set quantity=12."
            )
        corrections[column.strip()] = value
    return corrections
