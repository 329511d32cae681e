"""Publishes what rows became: catalogue first, then opening stock, then the history by group."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError
from pydantic import ValidationError

from producers.importers.backlog import Readers, read_all
from producers.importers.source import Out, Source, instant, past
from producers.importers.spool import Spool
from runtime.codec import Headers, adapter, encode, event_headers
from runtime.kafka import Publisher, unreachable
from runtime.settings import Settings
from schemas.events.alerts import RecheckAlert
from schemas.events.base import Event
from schemas.events.stock import ReceiveStock
from schemas.topics import (
    ALERT_COMMANDS,
    CUSTOMERS,
    LOCATIONS,
    ORDERS,
    PRODUCTS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
    Topic,
    key_of,
)

IN_FLIGHT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Message:
    """An event in its bytes, checked as every reader will check it."""

    topic: Topic
    key: str
    value: bytes
    headers: Headers


def to_message(out: Out, source: str) -> Message:
    """Raises ValueError that names the field where the event's model would refuse it."""
    value = encode(out.event)
    try:
        adapter(out.topic).validate_json(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"makes no valid event: {where}: {first['msg']}") from error
    headers = event_headers(out.event, f"/importer/{source}")
    return Message(out.topic, key_of(out.topic, out.event), value, headers)


class Outbox:
    """Counts what is sent and keeps nothing: where a dry run sends to.

    sent: topic -> records.
    """

    is_full = False

    def __init__(self) -> None:
        self.sent = Counter[str]()

    async def send(self, messages: Sequence[Message]) -> None:
        self.sent.update(message.topic.name for message in messages)

    async def flush(self) -> None:
        """Afterwards everything sent is durable; raises Unavailable where it is not."""

    async def tell(self, topic: Topic, event: Event) -> None:
        """Publish an event about the import itself, which does not count as sent."""


class KafkaOutbox(Outbox):
    """Sends many at once and awaits every one of them."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        super().__init__()
        self._settings = settings
        self._publisher = publisher
        self._pending: list[asyncio.Future[Any]] = []

    @property
    def is_full(self) -> bool:  # type: ignore[override]
        return len(self._pending) >= IN_FLIGHT_MAX

    async def send(self, messages: Sequence[Message]) -> None:
        await super().send(messages)
        try:
            for message in messages:
                future = await self._publisher.send_raw(
                    message.topic, message.key, message.value, message.headers
                )
                self._pending.append(future)
        except KafkaError as error:
            raise unreachable(self._settings) from error

    async def flush(self) -> None:
        pending, self._pending = self._pending, []
        try:
            await asyncio.gather(*pending)
        except KafkaError as error:
            raise unreachable(self._settings) from error

    async def tell(self, topic: Topic, event: Event) -> None:
        await self._publisher.send(topic, event)


async def learn_catalog(settings: Settings, spool: Spool) -> None:
    """Note in the spool what the catalogue topics have already."""
    for topic in (PRODUCTS, LOCATIONS, CUSTOMERS):
        latest: dict[str, str] = {}
        async for entry in read_all(settings, topic):
            if entry.value is None:
                latest.pop(entry.key, None)
            else:
                latest[entry.key] = entry.event_id
        spool.know(topic.name, latest.items())


async def publish_catalog(outbox: Outbox, spool: Spool, source: Source) -> None:
    """What a history tells of products, places and customers.

    Only what nobody else has described: people's edits and catalogue files are worth more than
    what was concluded from old orders.
    """
    for out in source.catalog(spool.db):
        known = spool.known_id(out.topic.name, key_of(out.topic, out.event))
        if known is not None and (known == out.event.id or not known.startswith(f"{source.name}/")):
            continue
        await outbox.send([to_message(out, source.name)])
        if outbox.is_full:
            await outbox.flush()
    await outbox.flush()


async def received_before(settings: Settings, source: str) -> dict[str, int]:
    """Opening stock received by earlier imports: id without the total -> the total.

    Read from the commands themselves, which are the truth and never lost.
    """
    totals: dict[str, int] = {}
    prefix = f"opening/{source}/"
    async for entry in read_all(settings, STOCK_COMMANDS):
        if entry.event_id.startswith(prefix):
            name, _, total = entry.event_id.rpartition("/")
            totals[name] = max(totals.get(name, 0), int(total))
    return totals


async def publish_opening(
    outbox: Outbox, spool: Spool, source: Source, received: dict[str, int]
) -> None:
    """Receive what keeps the history from going below zero, less what was received before.

    The id holds the total after the receipt, so the same need again is the same command.
    """
    start = instant(spool.start_seconds())
    for need in spool.needs():
        name = f"opening/{source.name}/{need.sku}/{need.location_id}"
        lacking = need.quantity - received.get(name, 0)
        if lacking <= 0:
            continue
        event = ReceiveStock(
            id=f"{name}/{need.quantity}",
            **past(start, f"import {source.name}"),
            sku=need.sku,
            location_id=need.location_id,
            quantity=lacking,
            reason="opening stock, fitted to the history",
        )
        await outbox.send([to_message(Out(STOCK_COMMANDS, event), source.name)])
        if outbox.is_full:
            await outbox.flush()
    await outbox.flush()


async def publish_rechecks(
    outbox: Outbox, spool: Spool, source: Source, import_id: str, now: datetime
) -> None:
    """The history is over: alerts look at every level that it touched."""
    for sku, location_id in spool.places():
        event = RecheckAlert(
            id=f"{import_id}/recheck/{sku}/{location_id}",
            occurred_at=now,
            by=f"import {source.name}",
            sku=sku,
            location_id=location_id,
        )
        await outbox.send([to_message(Out(ALERT_COMMANDS, event), source.name)])
        if outbox.is_full:
            await outbox.flush()
    await outbox.flush()


async def wait_for_products(followers: Readers, seconds: float) -> str:
    """Until the stock fold knows every product; returns a warning where it did not."""
    if await followers.wait("stock", await followers.ends(PRODUCTS), seconds):
        return ""
    return (
        "The stock worker has not read the new products yet; "
        "movements that it sees first are marked unknown_product."
    )


async def wait_for_levels(followers: Readers, seconds: float) -> str:
    """Until the history has reached the alert fold; returns a warning where it did not.

    A recheck that overtook the levels would look at a history's middle.
    """
    for group, topic in (("orders", ORDERS), ("stock", STOCK_COMMANDS), ("alerts", STOCK_LEVELS)):
        if not await followers.wait(group, await followers.ends(topic), seconds):
            return (
                f"The {group} worker has not taken everything in yet; "
                "'inventory status' says how far it is. Alerts may speak of a level on the way."
            )
    return ""
