"""Command: demo."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inventory.commands.alerting import change_text, changes
from inventory.commands.importing import import_file
from inventory.commands.platform import bring_up, state_folder, stopping_at_ctrl_c
from inventory.commands.printing import counted
from runtime.clock import new_id, now
from runtime.errors import InventoryError
from runtime.kafka import publisher
from runtime.settings import Settings, load_settings
from schemas.topics import ORDERS, STOCK_COMMANDS

EXAMPLES = Path(__file__).parents[2] / "examples"
HISTORY = EXAMPLES / "online_retail_history.csv.gz"
LIVE = EXAMPLES / "online_retail_live.csv.gz"
DEFAULT_STATE = Path("~/.inventory").expanduser()

WHAT_TO_EXPECT = """
[bold]The shop is open.[/bold] A lorry has brought goods (of some products too few), two days of
history are imported, and tills now sell the next day once more, an order every {pause:g} s.
Within a minute products run low and out: each alert is a line below.

Look at it from another terminal{elsewhere}:
  [bold]{inventory} status[/bold]                      every part, its port, how far behind
  [bold]{inventory} alerts[/bold]                      what is low now, worst first (--follow: live)
  [bold]{inventory} stock show {sku}[/bold]            one product: on hand, reserved, available
  [bold]{inventory} pos sale --location uk-warehouse --item {sku}:1[/bold]
  [bold]{inventory} query postgres "SELECT * FROM check_low_stock(10) LIMIT 10"[/bold]
  [bold]{inventory} query clickhouse "SELECT toHour(occurred_at) AS hour, sum(amount), currency \
FROM sales GROUP BY hour, currency ORDER BY hour"[/bold]
  [bold]{inventory} reconcile[/bold]                   topics, PostgreSQL and ClickHouse agree
[bold]Ctrl-C[/bold] stops everything; 'make demo' goes on where it was. \
[bold]{inventory} reset[/bold] deletes it all.
Servers listen on this machine alone; passwords stand in {endpoints}.
"""


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command(epilog="Example: **inventory demo --every 0.5**")(demo)


def demo(
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two sales.")] = 2.0,
) -> None:
    """Start everything on this machine with a shop that trades; Ctrl-C stops it.

    Real lines of a web wholesaler (UCI Online Retail, CC BY 4.0) are imported and replayed.
    """
    if not HISTORY.exists():
        raise InventoryError(
            f"The example data are not at {EXAMPLES}.",
            remedy="Run the demo from a checkout of the project.",
        )
    folder = state_folder()
    console = Console(stderr=True, highlight=False)
    with stopping_at_ctrl_c(folder):
        bring_up(folder, detach=False)
        console.print("A lorry brings goods, then two days of history are imported.")
        run = new_id()[:8]
        asyncio.run(_deliver(load_settings(), run))
        import_file("online-retail", HISTORY)
        asyncio.run(_trade(load_settings(), run, every, console))


async def _deliver(settings: Settings, run: str) -> None:
    """Before the history, so that its end finds the shelves filled."""
    # Late: the importers' libraries take half a second to load.
    from producers.replay import delivery, read_day  # noqa: PLC0415

    async with publisher(settings, "/demo") as sender:
        arrivals = delivery(read_day(LIVE), read_day(HISTORY), run, now())
        sent = [await sender.send_soon(STOCK_COMMANDS, arrival) for arrival in arrivals]
        await asyncio.gather(*sent)


async def _trade(settings: Settings, run: str, every: float, console: Console) -> None:
    from producers.replay import read_day, sale_today  # noqa: PLC0415

    day = read_day(LIVE)
    console.print(_what_to_expect(settings, every, day[0].basket[0].sku), soft_wrap=True)
    telling = asyncio.create_task(_tell_alerts(settings, console))
    async with publisher(settings, "/demo") as sender:
        try:
            for number in itertools.count():
                invoice = day[number % len(day)]
                again = f"{run}-{number // len(day)}"
                await sender.send(ORDERS, sale_today(invoice, again, now()))
                units = sum(item.quantity for item in invoice.basket)
                sold = f"sold {counted(units, 'unit')} in {counted(len(invoice.basket), 'line')}"
                console.print(f"[dim]{now():%H:%M:%S}  {sold}[/dim]")
                await asyncio.sleep(every)
        finally:
            telling.cancel()


async def _tell_alerts(settings: Settings, console: Console) -> None:
    colour = {"out": "red", "critical": "dark_orange", "low": "yellow", "ok": "green"}
    async for change in changes(settings):
        console.print(change_text(change), style=colour[change.state], markup=False, soft_wrap=True)


def _what_to_expect(settings: Settings, every: float, sku: str) -> str:
    state = settings.state_dir
    elsewhere = "" if state == DEFAULT_STATE else f", after export INVENTORY_STATE={state}"
    return WHAT_TO_EXPECT.format(
        pause=every,
        inventory=os.path.relpath(EXAMPLES.parent / ".venv/bin/inventory"),
        sku=sku,
        elsewhere=elsewhere,
        endpoints=state / "endpoints.json",
    )
