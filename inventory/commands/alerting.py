"""Commands: alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from inventory.commands.effects import IN_WORK, SOURCE, WAIT, Wait, carry_out, whoami
from inventory.commands.items import parse_id, parse_sku, parse_until
from inventory.commands.printing import Json, counted, moment, note, print_json, print_table, say
from inventory.commands.stores import named_query, postgres
from producers import alert_desk
from runtime.clock import new_id, now
from runtime.codec import decode
from runtime.errors import InventoryError
from runtime.kafka import new_consumer, start, unreachable
from runtime.own_writes import Write, deletion, write_of
from runtime.settings import Settings, load_settings
from runtime.topic_admin import describe_topics
from schemas.events.alerts import AlertChanged, AlertState
from schemas.topics import ALERT_COMMANDS, LOW_STOCK_ALERTS, THRESHOLD_OVERRIDES

Sku = Annotated[str, typer.Argument(metavar="SKU", help="Of which product.")]
Place = Annotated[str, typer.Argument(metavar="PLACE", help="At which place.")]
Note = Annotated[str, typer.Option(help="A word for whoever looks next.")]

app = typer.Typer(
    help="What runs out where: open alerts, and people's answers to them.",
    epilog="Example: **inventory alerts --follow**",
)


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="Every change from now on, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The alerts that are open now, worst first; with --follow, every change as it happens."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    if follow:
        try:
            asyncio.run(_follow(settings, as_json=as_json))
        except KeyboardInterrupt:
            return
    else:
        _show(asyncio.run(_open_alerts(settings)), as_json=as_json)


async def _open_alerts(settings: Settings) -> list[dict[str, Any]]:
    async with postgres(settings) as connection:
        rows = await connection.fetch(named_query("postgres", "shell_alerts"))
    return [dict(row) for row in rows]


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    columns = ["severity", "sku", "product_name", "location_id", "level"]
    table = [
        [
            *(row[name] for name in columns),
            moment(row["since"]),
            row["acknowledged_by"],
            moment(row["snoozed_until"]),
        ]
        for row in rows
    ]
    print_table(
        ["alert", "sku", "name", "place", "level", "since", "acknowledged by", "snoozed until"],
        table,
        empty="No alerts: nothing is low.",
    )


async def _follow(settings: Settings, *, as_json: bool) -> None:
    note("Following low-stock-alerts from now on; Ctrl-C ends.")
    async for change in changes(settings):
        if as_json:
            print_json(change, pretty=False)
        else:
            say(change_text(change))


async def changes(settings: Settings) -> AsyncIterator[AlertChanged]:
    """Every change of an alert from now on, in the order of each (SKU, place)."""
    infos = await describe_topics(settings, [LOW_STOCK_ALERTS])
    name = LOW_STOCK_ALERTS.name
    parts = [TopicPartition(name, number) for number in range(infos[name].partitions)]
    consumer = new_consumer(settings)
    await start(consumer, settings)
    try:
        consumer.assign(parts)
        for part, end in (await consumer.end_offsets(parts)).items():
            consumer.seek(part, end)
        async for record in consumer:
            yield decode(LOW_STOCK_ALERTS, record.key, record.value)
    except KafkaError as error:
        raise unreachable(settings) from error
    finally:
        await consumer.stop()


def change_text(change: AlertChanged) -> str:
    """One line a change: when, what, where, how many are left, and why."""
    same = change.old_state == change.state
    state = change.state if same else f"{change.old_state} → {change.state}"
    by = f" by {change.by}" if change.by else ""
    why = change.why or f"raised at {change.raise_at}, ends at {change.clear_at}"
    parts = (
        moment(change.recorded_at),
        f"{change.what.upper()}{by}",
        f"{change.sku} at {change.location_id}",
        state,
        f"level {change.level}: {why}",
    )
    return "  ".join(parts)


# --- answers --------------------------------------------------------------------------------------


@app.command("ack", epilog="Example: **inventory alerts ack TEA-250 cairo-1 --note 'on order'**")
def ack(sku: Sku, place: Place, note: Note = "", wait: Wait = WAIT) -> None:
    """Say that somebody takes care; the alert stays until stock is back."""
    command = alert_desk.acknowledge(_desk(sku, place), note)
    _answer(write_of(ALERT_COMMANDS, command, SOURCE), wait)


@app.command("snooze", epilog="Example: **inventory alerts snooze TEA-250 cairo-1 --for 2h**")
def snooze(
    sku: Sku,
    place: Place,
    until: Annotated[
        str, typer.Option("--for", "--until", metavar="TIME", help="30m, 2h, 1d, or an instant.")
    ],
    note: Note = "",
    wait: Wait = WAIT,
) -> None:
    """Hear nothing of it for a while; what is still wrong then is said again."""
    command = alert_desk.snooze(_desk(sku, place), parse_until(until, now()), note)
    _answer(write_of(ALERT_COMMANDS, command, SOURCE), wait)


@app.command("resolve", epilog="Example: **inventory alerts resolve TEA-250 cairo-1**")
def resolve(sku: Sku, place: Place, note: Note = "", wait: Wait = WAIT) -> None:
    """Close it by hand; it opens again at the next change for the worse."""
    command = alert_desk.resolve(_desk(sku, place), note)
    _answer(write_of(ALERT_COMMANDS, command, SOURCE), wait)


@app.command(
    "set", epilog="Example: **inventory alerts set TEA-250 cairo-1 --raise 20 --clear 30**"
)
def set_threshold(
    sku: Sku,
    place: Place,
    raise_at: Annotated[
        int, typer.Option("--raise", min=0, metavar="N", help="Alert at or below this level.")
    ],
    clear_at: Annotated[
        int, typer.Option("--clear", min=1, metavar="M", help="The alert ends at or above it.")
    ],
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="2h, 7d, or an instant.", show_default="for good"),
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for people.")] = "",
    wait: Wait = WAIT,
) -> None:
    """Set the levels of an alert by hand: they win over computed ones, until unset."""
    if clear_at <= raise_at:
        raise InventoryError(
            f"--clear {clear_at} is not above --raise {raise_at}, so the alert would tremble.",
            remedy=f"Say --clear {raise_at + max(1, raise_at // 4)} or more.",
        )
    end = parse_until(until, now()) if until else None
    override = alert_desk.override(_desk(sku, place), raise_at, clear_at, end, why)
    _answer(write_of(THRESHOLD_OVERRIDES, override, SOURCE), wait)


@app.command("unset", epilog="Example: **inventory alerts unset TEA-250 cairo-1**")
def unset_threshold(sku: Sku, place: Place, wait: Wait = WAIT) -> None:
    """Forget the levels set by hand: computed ones count again, or the default."""
    desk = _desk(sku, place)
    _answer(deletion(THRESHOLD_OVERRIDES, f"{desk.sku}|{desk.location_id}"), wait)


def _desk(sku: str, place: str) -> alert_desk.Desk:
    return alert_desk.Desk(new_id(), now(), whoami(), parse_sku(sku), parse_id(place, "place"))


def _answer(write: Write, wait: float) -> None:
    effect = asyncio.run(carry_out(load_settings(), [write], wait))
    state = effect.states.get(write.key)
    if isinstance(state, AlertState):
        say(state_text(state))
    elif effect.repeated:
        say("Taken: there was nothing to change.")
    if not effect.done:
        say(IN_WORK)


def state_text(state: AlertState) -> str:
    """How a SKU stands at a place, and which levels count there."""
    level = "no level yet" if state.level is None else counted(state.level, "unit") + " left"
    said = [f"{state.sku} at {state.location_id}: {state.severity}, {level}"]
    if state.acknowledged_by:
        said.append(f"acknowledged by {state.acknowledged_by}")
    if state.snoozed_until:
        said.append(f"snoozed until {moment(state.snoozed_until)}")
    if state.override:
        said.append(
            f"raised at {state.override.raise_at}, ends at {state.override.clear_at} (set by hand)"
        )
    return ", ".join(said) + "."


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.add_typer(app, name="alerts")
