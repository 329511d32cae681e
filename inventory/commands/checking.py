"""Commands: reconcile, rebuild, verify."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from inventory.commands.printing import Json, counted, note, print_json, say
from inventory.reconciling.compare import Difference, compare, still_moving
from inventory.reconciling.figures import Figures
from inventory.reconciling.refold import differing, refold
from inventory.reconciling.stores_side import read_clickhouse, read_postgres, wait_for_sinks
from inventory.reconciling.topics_side import read_topics
from runtime.settings import Settings, load_settings

STORES = ("postgres", "clickhouse")
ROUNDS = 3
SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(reconcile)
    app.command()(verify)
    app.command()(rebuild)


def reconcile(as_json: Json = False) -> None:
    """Compare topics, PostgreSQL and ClickHouse: every level, fact, reservation and sale.

    Waits until both sinks have copied what is in the topics now. What is still changing while
    it looks is looked at again, three times in all. Exits with 1 where anything differs.

    Example: **inventory reconcile**
    """
    settings = load_settings()
    begun = time.monotonic()
    with _progress() as progress:
        task = progress.add_task("Reading the topics")
        topics, real, moving = asyncio.run(_reconcile(settings, _Told(progress, task)))
    if as_json:
        print_json(
            {
                "differences": [_as_json(difference) for difference in real],
                "moving": [_as_json(difference) for difference in moving],
                "compared": _compared(topics),
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
    else:
        _say_result(topics, real, moving)
    raise typer.Exit(1 if real else 0)


async def _reconcile(
    settings: Settings, told: _Told
) -> tuple[Figures, list[Difference], list[Difference]]:
    before: list[Difference] = []
    for number in range(1, ROUNDS + 1):
        told.say(f"Reading the topics ({number}/{ROUNDS})")
        topics, reached = await read_topics(settings)
        told.say("Waiting for the sinks")
        await wait_for_sinks(settings, reached, told.lag)
        told.say("Reading the stores")
        stores = [await read_postgres(settings), await asyncio.to_thread(read_clickhouse, settings)]
        found = compare(topics, *stores)
        if not any(difference.moved for difference in found):
            return topics, found, []
        if number == ROUNDS:
            break
        before = found
    return topics, *still_moving(before, found)


def verify(as_json: Json = False) -> None:
    """Fold all stock commands once more, offline, and compare with the ledger.

    Shows that the kept commands and today's rules still lead to today's stock.

    Example: **inventory verify**
    """
    settings = load_settings()

    async def run() -> tuple[Figures, Figures, int]:
        folded, commands = await refold(settings)
        topics, _ = await read_topics(settings)
        return topics, folded, commands

    with _progress() as progress:
        progress.add_task("Folding all commands again")
        topics, folded, commands = asyncio.run(run())
    found = list(differing(topics, folded))
    if as_json:
        print_json({"commands": commands, "differences": [_as_json(one) for one in found]})
    else:
        levels = counted(len(folded.levels), "level")
        say(f"{counted(commands, 'command')} folded again into {levels}.")
        _say_differences(found, "No difference.")
    raise typer.Exit(1 if found else 0)


def rebuild(
    store: Annotated[str, typer.Argument(help="postgres or clickhouse")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Empty a store and let its sink copy everything again from the topics.

    Until it has caught up the store shows less than there is; nothing else is touched.

    Example: **inventory rebuild clickhouse**
    """
    if store not in STORES:
        raise typer.BadParameter(f"it is one of {', '.join(STORES)}", param_hint="STORE")
    if not yes:
        typer.confirm(f"Empty {store} and copy everything again?", abort=True)
    # Late: the sinks' libraries would slow down every other command.
    asyncio.run(import_module(f"sinks.{store}.rebuild").rebuild(load_settings()))
    say(f"{store} is empty; its sink copies everything again. 'inventory reconcile' tells when.")


class _Told:
    """Says on the terminal what is going on."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def say(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def lag(self, sink: str, records: int) -> None:
        self.say(f"Waiting for {sink}: {counted(records, 'record')} behind")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _compared(topics: Figures) -> dict[str, int]:
    return {
        "levels": len(topics.levels),
        "movements": sum(stock.version for stock in (topics.facts or {}).values()),
        "orders": len(topics.orders or {}),
        "sales_lines": sum(sold.lines for sold in topics.sold.values()),
    }


def _say_result(topics: Figures, real: list[Difference], moving: list[Difference]) -> None:
    compared = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in _compared(topics).items())
    say(f"Compared: {compared}.")
    if moving:
        note(f"Still changing: {', '.join(one.key for one in moving[:SHOWN_MAX])}.")
    _say_differences(real, "No difference.")


def _say_differences(found: list[Difference], none: str) -> None:
    if not found:
        say(none)
        return
    for difference in found[:SHOWN_MAX]:
        say(str(difference))
    if len(found) > SHOWN_MAX:
        say(f"... and {len(found) - SHOWN_MAX:,} more (--json lists all).")


def _as_json(difference: Difference) -> dict[str, Any]:
    return {"what": difference.what, "key": difference.key, **dict(difference.sides)}
