"""Commands: dead-letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from aiokafka import TopicPartition

from inventory.commands.printing import Json, counted, note, print_json, print_table, say
from runtime.codec import Headers, adapter, decode
from runtime.errors import InventoryError
from runtime.kafka import new_consumer, start
from runtime.own_writes import WAIT_SECONDS, Write, first_headers, own_writes, states_of
from runtime.settings import Settings, load_settings
from schemas.arrivals import Refused
from schemas.topics import BY_NAME, DEAD_LETTERS, Topic, key_of

LIST_LAST = 50
RETRY_HEADER = "retry_of"
OWN_HEADERS = "dl_"

app = typer.Typer(
    no_args_is_help=True,
    help="Refused records: kept with the reason, to be mended and sent again.",
    epilog="Example: **inventory dead-letters list**, then **inventory dead-letters show "
    "orders/0/17**",
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A refused record; its identity is where it stood: topic/partition/offset."""

    id: str
    topic: str
    key: str
    reason: str
    field: str
    detail: str
    recorded_at: str
    retry_of: str
    body: bytes | None
    headers: Headers


def letter_of(key: bytes | None, body: bytes | None, headers: Headers) -> Letter:
    """A record of topic `dead-letters` as a letter."""
    said = first_headers(headers)
    topic = said.get("dl_topic", "?")
    return Letter(
        id=f"{topic}/{said.get('dl_partition', '?')}/{said.get('dl_offset', '?')}",
        topic=topic,
        key=(key or b"").decode(errors="replace"),
        reason=said.get("dl_reason", ""),
        field=said.get("dl_field", ""),
        detail=said.get("dl_detail", ""),
        recorded_at=said.get("dl_recorded_at", ""),
        retry_of=said.get(RETRY_HEADER, ""),
        body=body,
        headers=[(name, value) for name, value in headers if not name.startswith(OWN_HEADERS)],
    )


def retry_write(letter: Letter, body: bytes | None = None) -> Write:
    """The letter's record for its original topic, under the key that its body asks for.

    body: instead of the original one. Raises InventoryError where no fold could take it.
    """
    topic = BY_NAME.get(letter.topic)
    if topic is None or topic is DEAD_LETTERS:
        raise InventoryError(
            f"{letter.id} came from {letter.topic!r}, which is no topic of this system.",
            remedy="'inventory topics' lists them.",
        )
    value = letter.body if body is None else body
    try:
        event = decode(topic, _key_in(topic, value), value)
    except Refused as refused:
        where = f" ({refused.field})" if refused.field else ""
        raise InventoryError(
            f"{letter.id} would be refused again: {refused.reason}{where}: {refused.detail}.",
            remedy=f"'inventory dead-letters show {letter.id} --body > fixed.json', mend the "
            f"file, then 'inventory dead-letters retry {letter.id} --body fixed.json'.",
        ) from refused
    kept = [(name, text) for name, text in letter.headers if name != RETRY_HEADER]
    headers = [*kept, (RETRY_HEADER, letter.id.encode())]
    if event is None:
        return Write(topic, letter.key, None, headers, ())
    return Write(topic, key_of(topic, event), value, headers, states_of(topic, event))


def _key_in(topic: Topic, value: bytes | None) -> bytes | None:
    """The key that a body asks for, where it is one; else none, and decoding says why."""
    if value is None:
        return None
    try:
        return key_of(topic, adapter(topic).validate_json(value, strict=True)).encode()
    except ValueError:
        return None


def still_open(letters: Sequence[Letter]) -> list[Letter]:
    """Letters that no later one is a failed retry of: each fault once."""
    retried = {letter.retry_of for letter in letters}
    return [letter for letter in letters if letter.id not in retried]


async def read_letters(settings: Settings) -> list[Letter]:
    """Every dead letter, oldest first."""
    at = TopicPartition(DEAD_LETTERS.name, 0)
    letters: list[Letter] = []
    async with _reader(settings, at) as (consumer, end):
        while await consumer.position(at) < end:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                letters += [
                    letter_of(record.key, record.value, list(record.headers))
                    for record in records
                    if record.offset < end
                ]
    return letters


@asynccontextmanager
async def _reader(settings: Settings, at: TopicPartition) -> AsyncIterator[tuple[Any, int]]:
    consumer = new_consumer(settings)
    await start(consumer, settings)
    try:
        consumer.assign([at])
        end = (await consumer.end_offsets([at]))[at]
        consumer.seek(at, (await consumer.beginning_offsets([at]))[at])
        yield consumer, end
    finally:
        await consumer.stop()


def _find(letters: Sequence[Letter], identity: str) -> Letter:
    for letter in letters:
        if letter.id == identity:
            return letter
    raise InventoryError(
        f"There is no dead letter {identity!r}.",
        remedy="Name one as TOPIC/PARTITION/OFFSET; 'inventory dead-letters list' shows them.",
    )


@app.command("list", epilog="Example: **inventory dead-letters list --last 10**")
def list_letters(
    last: Annotated[int, typer.Option(min=1, help="The newest so many.")] = LIST_LAST,
    as_json: Json = False,
) -> None:
    """Refused records, newest last: where each stood and why it was refused."""
    letters = asyncio.run(read_letters(load_settings()))
    shown = letters[-last:]
    if as_json:
        print_json([_facts(letter) for letter in shown])
        return
    print_table(
        ["id", "key", "reason", "field", "detail", "recorded at"],
        [
            (one.id, one.key[:40], one.reason, one.field, one.detail[:120], one.recorded_at[:19])
            for one in shown
        ],
        empty="No dead letters: everything published was taken.",
    )
    if len(shown) < len(letters):
        note(f"The newest {last} of {len(letters)}; --last {len(letters)} shows all.")


@app.command("show", epilog="Example: **inventory dead-letters show orders/0/17**")
def show_letter(
    identity: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET")],
    body: Annotated[bool, typer.Option("--body", help="The body alone, byte for byte.")] = False,
    as_json: Json = False,
) -> None:
    """One refused record: what stands beside it, and its original bytes."""
    letter = _find(asyncio.run(read_letters(load_settings())), identity)
    if body:
        typer.get_binary_stream("stdout").write(letter.body or b"")
    elif as_json:
        text = None if letter.body is None else letter.body.decode(errors="backslashreplace")
        print_json({**_facts(letter), "headers": _texts(letter.headers), "body": text})
    else:
        beside = [*_facts(letter).items(), *_texts(letter.headers).items()]
        print_table(["", "value"], [(name, value) for name, value in beside if value])
        say(_readable(letter.body))


@app.command(
    "retry", epilog="Example: **inventory dead-letters retry orders/0/17 --body fixed.json**"
)
def retry(
    identity: Annotated[str | None, typer.Argument(metavar="[TOPIC/PARTITION/OFFSET]")] = None,
    body: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A mended body, in a file.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that could be taken now.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = WAIT_SECONDS,
) -> None:
    """Send refused records again, under the right key.

    Retrying twice is harmless: the folds drop an id that they have taken before.
    """
    if (identity is None) != every or (every and body is not None):
        raise InventoryError(
            "Say which record to retry, or --all without a body.",
            remedy="'inventory dead-letters list' names them.",
        )
    settings = load_settings()
    letters = asyncio.run(read_letters(settings))
    if identity is not None:
        write = retry_write(_find(letters, identity), body.read_bytes() if body else None)
        _say_retried([write], asyncio.run(_publish(settings, [write], wait)))
        return
    writes, hopeless = [], 0
    for letter in still_open(letters):
        try:
            writes.append(retry_write(letter))
        except InventoryError as error:
            hopeless += 1
            note(str(error))
    _say_retried(writes, asyncio.run(_publish(settings, writes, wait)) if writes else True)
    if hopeless:
        raise InventoryError(
            f"{counted(hopeless, 'record')} can't be taken as they are.",
            remedy="Mend each one: 'inventory dead-letters retry ID --body FILE'.",
        )


async def _publish(settings: Settings, writes: Sequence[Write], wait: float) -> bool:
    async with own_writes(settings, "/shell/dead-letters", wait) as own:
        await own.publish(writes)
        return await own.applied()


def _say_retried(writes: Sequence[Write], applied: bool) -> None:
    said = "taken, or known already" if applied else "received, in work"
    say(f"{counted(len(writes), 'record')} sent again: {said}.")


def _facts(letter: Letter) -> dict[str, Any]:
    names = ("id", "key", "reason", "field", "detail", "recorded_at", "retry_of")
    return {name: getattr(letter, name) for name in names}


def _texts(headers: Headers) -> dict[str, str]:
    return {name: value.decode(errors="backslashreplace") for name, value in headers}


def _readable(body: bytes | None) -> str:
    if body is None:
        return "(no body)"
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="backslashreplace")


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.add_typer(app, name="dead-letters")
