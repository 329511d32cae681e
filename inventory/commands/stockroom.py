"""Commands: stock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from inventory.commands.catalogue import near_skus, read_catalogue, unknown_places
from inventory.commands.effects import IN_WORK, SOURCE, WAIT, Effect, Wait, carry_out, whoami
from inventory.commands.items import (
    Item,
    parse_changes,
    parse_counts,
    parse_id,
    parse_quantities,
    parse_sku,
    parse_time,
)
from inventory.commands.late_counts import level_then, too_old
from inventory.commands.printing import Json, note, print_json, print_table, say
from inventory.commands.stores import named_query, postgres
from producers import stockroom
from runtime.clock import new_id, now
from runtime.errors import InventoryError
from runtime.own_writes import write_of
from runtime.settings import Settings, load_settings
from schemas.events.stock import SkuEvent, StockLevel
from schemas.topics import STOCK_COMMANDS

At = Annotated[str, typer.Option("--location", metavar="PLACE", help="Where the goods are.")]
Document = Annotated[str | None, typer.Option(help="Delivery note, count sheet: its number.")]
Reason = Annotated[str | None, typer.Option(help="Why, for whoever reads it later.")]

app = typer.Typer(
    no_args_is_help=True,
    help="The stockroom: goods arrive, leave, are counted and put right.",
    epilog="Example: **inventory stock receive --location cairo-1 --item TEA-250:12**",
)


@app.command(
    "receive",
    epilog="Example: **inventory stock receive --location cairo-1 --item TEA-250:12 "
    "--document DN-1041**",
)
def receive(
    location: At,
    item: Annotated[
        list[str], typer.Option("--item", metavar="SKU:QTY", help="Once for each product.")
    ],
    transfer: Annotated[
        str | None, typer.Option(metavar="ID", help="They were on their way by this transfer.")
    ] = None,
    document: Document = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Goods arrived: on hand rises, and orders that wait for them are served."""
    items = parse_quantities(item)
    slip = _slip(document=document)
    commands = [
        stockroom.receive(slip, line, location, one.sku, one.number, transfer)
        for line, one in enumerate(items, start=1)
    ]
    _carry_out(commands, [location], wait, as_json=as_json)


@app.command(
    "transfer",
    epilog="Example: **inventory stock transfer --from cairo-1 --to giza-2 --item TEA-250:6**",
)
def transfer(
    start: Annotated[str, typer.Option("--from", metavar="PLACE", help="Where they leave.")],
    end: Annotated[str, typer.Option("--to", metavar="PLACE", help="Where they go.")],
    item: Annotated[
        list[str], typer.Option("--item", metavar="SKU:QTY", help="Once for each product.")
    ],
    document: Document = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Goods left for another place; prints the transfer's id, which receiving them needs.

    Until **inventory stock receive --transfer ID** they are in transit: on hand nowhere.
    """
    items = parse_quantities(item)
    if start == end:
        raise InventoryError(
            f"A transfer goes from one place to another, not from {start} to itself.",
            remedy="'inventory stock adjust' puts the books right at one place.",
        )
    slip = _slip(document=document)
    commands = [
        stockroom.transfer(slip, line, start, end, one.sku, one.number)
        for line, one in enumerate(items, start=1)
    ]
    _carry_out(commands, [start, end], wait, as_json=as_json, transfer_id=slip.id)


@app.command(
    "adjust",
    epilog="Example: **inventory stock adjust --location cairo-1 --item TEA-250:-3 "
    "--reason broken**",
)
def adjust(
    location: At,
    item: Annotated[
        list[str], typer.Option("--item", metavar="SKU:+N|-N", help="Once for each product.")
    ],
    reason: Annotated[str, typer.Option(help="Why: broken, found, stolen, ...")],
    document: Document = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """More or less is there than the books say: put the books right by that much."""
    items = parse_changes(item)
    slip = _slip(document=document, reason=reason)
    commands = [
        stockroom.adjust(slip, line, location, one.sku, one.number)
        for line, one in enumerate(items, start=1)
    ]
    _carry_out(commands, [location], wait, as_json=as_json)


@app.command(
    "count",
    epilog="Example: **inventory stock count --location cairo-1 --item TEA-250:9 --at 10m**",
)
def count(
    location: At,
    item: Annotated[
        list[str], typer.Option("--item", metavar="SKU:QTY", help="What was there; may be 0.")
    ],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When it was counted: 10m (ago), or 2026-03-01T10:00+02:00.",
            show_default="now",
        ),
    ] = None,
    document: Document = None,
    reason: Reason = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """So many were there: the books follow, and later sales still count.

    A count from longer ago than the stock fold remembers becomes an adjustment by what the
    books said then, which ClickHouse knows.
    """
    items = parse_counts(item)
    counted_at = parse_time(at, now()) if at else now()
    slip = _slip(document=document, reason=reason, at=counted_at)
    settings = load_settings()
    commands = asyncio.run(_count_commands(settings, slip, location, items, backdated=bool(at)))
    if commands:
        _carry_out(commands, [location], wait, as_json=as_json)
    elif as_json:
        print_json({"in_work": False, "repeated": False, "levels": []})


async def _count_commands(
    settings: Settings,
    slip: stockroom.Slip,
    location: str,
    items: Sequence[Item],
    *,
    backdated: bool,
) -> list[SkuEvent]:
    commands: list[SkuEvent] = []
    for line, item in enumerate(items, start=1):
        level = await too_old(settings, item.sku, location, slip.at) if backdated else None
        if level is None:
            commands.append(stockroom.count(slip, line, location, item.sku, item.number))
            continue
        then = level_then(settings, level, slip.at, now())
        late = stockroom.late_count(slip, line, location, item.sku, item.number, then)
        if late is None:
            note(f"{item.sku} at {location}: the books said {then} then, so nothing changes.")
        else:
            note(
                f"{item.sku} at {location}: the books said {then} then; adjusted by "
                f"{item.number - then:+}."
            )
            commands.append(late)
    return commands


@app.command("show", epilog="Example: **inventory stock show TEA-250**")
def show(
    sku: Annotated[str, typer.Argument(metavar="SKU", help="Of which product.")],
    as_json: Json = False,
) -> None:
    """A product's stock at every place, as PostgreSQL holds it.

    available = on hand - reserved - safety stock; alerts are raised at or below the threshold.
    """
    settings, wanted = load_settings(), parse_sku(sku)
    rows = asyncio.run(_stock_rows(settings, wanted))
    if as_json:
        print_json(rows)
        return
    say(f"{wanted} {rows[0]['product_name'] or '(unknown to the catalogue)'}")
    numbers = ("on_hand", "reserved", "in_transit", "available")
    table = [
        [
            row["location_id"],
            ", ".join(filter(None, (row["location_name"], row["city"], row["country"]))),
            *(row[name] for name in numbers),
            f"{row['raise_at']} ({row['threshold_source']})",
            row["alert"],
        ]
        for row in rows
    ]
    if len(rows) > 1:
        table.append(["all", "", *(sum(row[name] for row in rows) for name in numbers), "", ""])
    columns = ["place", "name", "on hand", "reserved", "in transit", "available"]
    print_table([*columns, "alert at", "alert"], table)


async def _stock_rows(settings: Settings, sku: str) -> list[dict[str, Any]]:
    defaults = (settings.default_raise_at, settings.default_clear_at)
    async with postgres(settings) as connection:
        found = await connection.fetch(named_query("postgres", "shell_stock"), sku, *defaults)
    if found:
        return [dict(row) for row in found]
    near = await near_skus(settings, sku)
    raise InventoryError(
        f"No place has stocked {sku} yet.",
        remedy=f"Did you mean {' or '.join(near)}?"
        if near
        else f"'inventory stock receive --location PLACE --item {sku}:QTY' brings the first.",
    )


def _slip(
    document: str | None = None, reason: str | None = None, at: datetime | None = None
) -> stockroom.Slip:
    return stockroom.Slip(new_id(), at or now(), whoami(), document, reason)


def _carry_out(
    commands: Sequence[SkuEvent],
    places: Iterable[str],
    wait: float,
    *,
    as_json: bool,
    transfer_id: str | None = None,
) -> None:
    """Publish the commands, wait, and say the levels that they led to."""
    settings = load_settings()
    named = [parse_id(place, "place") for place in places]
    writes = [write_of(STOCK_COMMANDS, command, SOURCE) for command in commands]

    async def work() -> Effect:
        catalogue = await read_catalogue(settings, [])
        for sentence in unknown_places(catalogue, named):
            note(sentence)
        return await carry_out(settings, writes, wait)

    effect = asyncio.run(work())
    levels = [state for state in effect.states.values() if isinstance(state, StockLevel)]
    if as_json:
        facts = {"in_work": not effect.done, "repeated": effect.repeated}
        moved = {"transfer_id": transfer_id} if transfer_id else {}
        print_json({**moved, **facts, "levels": [_level(level) for level in levels]})
        return
    if transfer_id:
        say(f"Transfer {transfer_id}: receive it there with --transfer {transfer_id}.")
    for level in levels:
        said = f"{level.on_hand} on hand, {level.reserved} reserved, {level.in_transit} in transit"
        unknown = "; unknown to the catalogue" if level.unknown_product else ""
        say(f"{level.sku} at {level.location_id}: {said}{unknown}.")
    if not effect.done:
        say(IN_WORK)


def _level(level: StockLevel) -> dict[str, Any]:
    names = ("sku", "location_id", "on_hand", "reserved", "in_transit", "unknown_product")
    return {name: getattr(level, name) for name in names}


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.add_typer(app, name="stock")
