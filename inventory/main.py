"""The `inventory` command line: puts the commands together and says errors in one sentence."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from inventory.commands import (
    about,
    alerting,
    checking,
    demo,
    importing,
    letters,
    platform,
    querying,
    running,
    selling,
    stockroom,
)
from runtime.errors import InventoryError

app = typer.Typer(
    name="inventory",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Keeps a retailer's stock true in real time, from the till to the warehouse.",
    epilog="Start with **inventory demo**, or **inventory up** and **inventory import**.",
)


@app.callback()
def _options(
    state: Annotated[
        str | None,
        typer.Option(
            help="Folder of the embedded platform (or INVENTORY_STATE; default ~/.inventory).",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option(help="Show tracebacks of errors.")] = False,
) -> None:
    if state is not None:
        os.environ["INVENTORY_STATE"] = state
    if debug:
        os.environ["INVENTORY_DEBUG"] = "1"


for _module in (
    platform,
    demo,
    importing,
    selling,
    stockroom,
    alerting,
    querying,
    checking,
    letters,
    about,
    running,
):
    _module.register(app)


def main() -> int:
    """Run a command; returns its exit code. Errors a person can act on are one sentence."""
    # Clients log what our own sentence says better; workers set up their logs themselves.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app(standalone_mode=True)
    except InventoryError as error:
        if os.environ.get("INVENTORY_DEBUG"):
            raise
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print("[red]inventory:[/red]", escape(str(error)))
        if error.remedy:
            console.print(f"  {error.remedy}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
