"""Stands in for the folds: writes the ledger records that a shell waits for, in transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition

from runtime.codec import dead_letter_headers, encode
from runtime.kafka import client_options, new_consumer
from runtime.partitions import cached_partition_of, partition_count
from runtime.settings import Settings
from schemas.arrivals import Arrival, Refused
from schemas.events.positions import InputPosition, Position, position_key
from schemas.events.stock import Movement, MovementKind, StockLevel
from schemas.topics import DEAD_LETTERS, Topic, key_of

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def level(sku: str, place: str, cause: int, **fields: Any) -> StockLevel:
    """A level that stock command number `cause` led to."""
    return StockLevel(
        sku=sku,
        location_id=place,
        occurred_at=AT,
        recorded_at=AT,
        cause={"stock-commands": cause},
        **{"on_hand": 7, "version": 1, **fields},
    )


def movement(kind: MovementKind, order_id: str, line_no: int, place: str = "a") -> Movement:
    return Movement(
        location_id=place,
        kind=kind,
        on_hand_delta=-1,
        reserved_delta=0,
        in_transit_delta=0,
        on_hand=6,
        reserved=0,
        in_transit=0,
        version=2,
        occurred_at=AT,
        recorded_at=AT,
        known_at=AT,
        command_id=f"{order_id}:{line_no}",
        partition=0,
        offset=1,
        order_id=order_id,
        line_no=line_no,
    )


async def eventually(what: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until it is so; fails when it isn't in time."""
    async with asyncio.timeout(seconds):
        while True:
            if await what():
                return
            await asyncio.sleep(0.02)


class Fold:
    """One transactional producer; what it puts out together becomes visible together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **client_options(settings), transactional_id=f"test-{uuid4()}"
        )

    async def __aenter__(self) -> Fold:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    def partition(self, topic: Topic, key: str) -> int:
        settings = self._settings
        count = partition_count(topic, settings.sku_partitions, settings.order_partitions)
        return cached_partition_of(key, count)

    async def commit(
        self,
        states: Iterable[tuple[Topic, Any]] = (),
        position: tuple[Topic, int, str, int] | None = None,
        dead: Iterable[tuple[Arrival, Refused, bytes | None]] = (),
        abort: bool = False,
    ) -> None:
        """States and facts, the position (ledger, partition, input, next), dead letters."""
        await self._producer.begin_transaction()
        for topic, body in states:
            key = key_of(topic, body)
            await self._put(topic, key, encode(body), self.partition(topic, key))
        if position is not None:
            ledger, number, source, upto = position
            body = Position(
                partition=number, inputs={source: InputPosition(topic_id="id", next=upto)}
            )
            await self._put(ledger, position_key(number), encode(body), number)
        for arrival, refused, value in dead:
            headers = dead_letter_headers(arrival, refused)
            await self._put(DEAD_LETTERS, arrival.key, value, 0, headers)
        if abort:
            await self._producer.abort_transaction()
        else:
            await self._producer.commit_transaction()

    async def _put(
        self,
        topic: Topic,
        key: str,
        value: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        await self._producer.send_and_wait(
            topic.name, value, key.encode(), partition=partition, headers=headers or []
        )


async def last_offset(settings: Settings, topic: Topic, partition: int) -> int:
    """The offset of the newest record of a topic without transactions."""
    at = TopicPartition(topic.name, partition)
    consumer = new_consumer(settings)
    await consumer.start()
    consumer.assign([at])
    end = (await consumer.end_offsets([at]))[at]
    await consumer.stop()
    return int(end) - 1
