"""Commands: run, migrate."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from inventory.commands.printing import Json, counted, print_json, say
from inventory.migrate import migrate as migrate_all
from inventory.workers import BY_NAME, WORKERS
from runtime.errors import InventoryError
from runtime.logs import configure_logs
from runtime.settings import load_settings

_LISTED = "\n".join(f"- **{worker.name}**: {worker.what}" for worker in WORKERS)


def run(name: Annotated[str, typer.Argument(metavar="WORKER", help="Which one.")]) -> None:
    """Run one worker in the foreground until Ctrl-C, against the servers of the settings."""
    worker = BY_NAME.get(name)
    if worker is None:
        raise InventoryError(
            f"There is no worker {name!r}.", remedy=f"These are: {', '.join(BY_NAME)}."
        )
    settings = load_settings()
    configure_logs(settings, worker.name)
    worker.main()(settings)


def migrate(
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long servers may take to answer.")
    ] = 30,
    as_json: Json = False,
) -> None:
    """Make topics, tables and views that are missing. Safe to run twice, and by two at once."""
    made = asyncio.run(migrate_all(load_settings(), wait))
    if as_json:
        print_json(made)
        return
    for place, names in made.items():
        said = f"{counted(len(names), 'change')}: {', '.join(names)}" if names else "up to date"
        say(f"{place}: {said}")


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command(epilog=f"Workers:\n\n{_LISTED}\n\nExample: **inventory run stock**")(run)
    app.command(epilog="Example: **inventory migrate --wait 60**")(migrate)
