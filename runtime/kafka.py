"""Kafka clients as this system needs them: committed reads, idempotent writes, short back-offs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from runtime.codec import encode, event_headers
from runtime.errors import Unavailable
from runtime.partitions import cached_partition_of, partition_count
from runtime.settings import Settings
from schemas.events.base import Event
from schemas.topics import Topic, key_of

# A broker that still writes the markers of a transaction answers "not yet", which aiokafka logs
# as a warning although nothing is wrong.
logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)


CONFIRM_SECONDS = 30
STOP_SECONDS = 5


def client_options(settings: Settings) -> dict[str, Any]:
    """What every aiokafka client of this system is made with."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.need("kafka"),
        "security_protocol": settings.kafka_security,
    }
    if "SSL" in settings.kafka_security:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca_file)
    if settings.kafka_security.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return options


def new_consumer(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """A consumer, not started, that sees committed records only and commits nothing by itself."""
    return AIOKafkaConsumer(
        **client_options(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **{"fetch_max_wait_ms": 50, **options},
    )


def new_producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """An idempotent producer, not started."""
    return AIOKafkaProducer(
        **client_options(settings),
        enable_idempotence=True,
        acks="all",
        **{"linger_ms": 0, "max_batch_size": 256 * 1024, **options},
    )


async def start(client: Any, settings: Settings) -> None:
    """Start a client; raises Unavailable with the address where no broker answers."""
    try:
        await client.start()
    except (KafkaConnectionError, OSError) as error:
        # The admin client names it otherwise.
        await (client.stop if hasattr(client, "stop") else client.close)()
        raise unreachable(settings) from error


async def close(*clients: Any) -> None:
    """Stop started consumers and producers; where Kafka is away, no longer than a while.

    Where a fetch has just failed, aiokafka's own stop ends half done, as if it were cancelled.
    """
    stops = asyncio.gather(*(client.stop() for client in clients), return_exceptions=True)
    await asyncio.wait([stops], timeout=STOP_SECONDS)
    for client in clients:
        # Both kinds of client hold the connection in one of these.
        await (client._client if hasattr(client, "_client") else client.client).close()


def unreachable(settings: Settings) -> Unavailable:
    return Unavailable(
        f"Kafka does not answer at {settings.need('kafka')}.",
        remedy="'inventory status' says what runs; 'inventory up' starts it.",
    )


@dataclass(slots=True, frozen=True)
class Receipt:
    """Where a published event came to stand."""

    topic: str
    partition: int
    offset: int


class Publisher:
    """Publishes events under their registered key and partition, durably.

    `send` returns when the broker has the record on all in-sync replicas. `send_soon` returns a
    future of the same, for callers that have many; they await every one of them.
    """

    def __init__(self, settings: Settings, source: str, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._source = source
        self._producer = producer

    async def send_soon(self, topic: Topic, event: Event) -> asyncio.Future[Any]:
        key = key_of(topic, event)
        return await self.send_raw(topic, key, encode(event), event_headers(event, self._source))

    async def send_raw(
        self,
        topic: Topic,
        key: str,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Any]:
        """A body as it is: None deletes the key of a compacted topic."""
        future: asyncio.Future[Any] = await self._producer.send(
            topic.name,
            value,
            key.encode(),
            partition=self.partition_of(topic, key),
            headers=list(headers),
        )
        return future

    async def send(self, topic: Topic, event: Event) -> Receipt:
        return await self.delivered(await self.send_soon(topic, event))

    async def delivered(self, future: asyncio.Future[Any]) -> Receipt:
        """Where the record came to stand. Raises Unavailable where the broker doesn't confirm."""
        try:
            # An idempotent producer would try for ever.
            async with asyncio.timeout(CONFIRM_SECONDS):
                sent = await future
        except (KafkaError, TimeoutError) as error:
            raise unreachable(self._settings) from error
        return Receipt(sent.topic, sent.partition, sent.offset)

    def partition_of(self, topic: Topic, key: str) -> int:
        settings = self._settings
        count = partition_count(topic, settings.sku_partitions, settings.order_partitions)
        return cached_partition_of(key, count)


@asynccontextmanager
async def publisher(settings: Settings, source: str, **options: Any) -> AsyncIterator[Publisher]:
    """A started Publisher; what was sent is flushed at the end.

    source: who publishes, as CloudEvents name it: `/till/cairo-1`, `/importer/superstore`.
    """
    producer = new_producer(settings, **options)
    await start(producer, settings)
    try:
        yield Publisher(settings, source, producer)
    finally:
        # Whoever cares for a record has awaited it; without a broker the rest would wait for ever.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                await producer.stop()
