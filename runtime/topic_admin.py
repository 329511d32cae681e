"""Creates the topics of the registry and checks that broker and registry agree."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from runtime.errors import Mismatch
from runtime.kafka import client_options, start
from runtime.partitions import partition_count
from runtime.settings import Settings
from schemas.topics import DEAD_LETTERS, TOPICS, Topic

DAY_MS = 86_400_000
DEAD_LETTER_BYTES_MAX = 2 * 1024 * 1024


def topic_config(topic: Topic, settings: Settings) -> dict[str, str]:
    """The broker's settings of a topic. Kafka's time is when a record was appended."""
    config = {"message.timestamp.type": "LogAppendTime"}
    if settings.kafka_replication >= 3:
        config["min.insync.replicas"] = "2"
    if topic == DEAD_LETTERS:
        # The largest refused record still fits, with the reason beside it.
        config["max.message.bytes"] = str(DEAD_LETTER_BYTES_MAX)
    if topic.keep:
        return config | {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    config |= {"cleanup.policy": "compact"}
    if topic.ledger:
        config |= {"min.compaction.lag.ms": str(DAY_MS)}
    if topic.personal:
        config |= {"max.compaction.lag.ms": str(7 * DAY_MS)}
    return config


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """topic_id: the broker's own identity of a topic; one made anew under the name differs."""

    topic_id: str
    partitions: int


async def create_topics(settings: Settings) -> list[str]:
    """Create what is missing; returns the names made. Safe to run twice and by two at once."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await start(admin, settings)
    try:
        existing = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in existing]
        if not missing:
            return []
        response = await admin.create_topics([_new_topic(topic, settings) for topic in missing])
        made = []
        for name, code, *message in response.topic_errors:
            error = for_code(code)
            if code == 0:
                made.append(name)
            elif error is not TopicAlreadyExistsError:
                raise Mismatch(
                    f"Topic {name} could not be created: {error.__name__} {message}",
                    remedy="Check INVENTORY_KAFKA_REPLICATION against the number of brokers.",
                )
        return made
    finally:
        await admin.close()


def _new_topic(topic: Topic, settings: Settings) -> NewTopic:
    return NewTopic(
        topic.name,
        partition_count(topic, settings.sku_partitions, settings.order_partitions),
        settings.kafka_replication,
        topic_configs=topic_config(topic, settings),
    )


async def describe_topics(settings: Settings, topics: Iterable[Topic]) -> dict[str, TopicInfo]:
    """Identity and partition count of each topic, checked against the settings.

    Raises Mismatch where a topic is missing or has another number of partitions than the
    settings say: keys would lie in other partitions than writers and folds believe.
    """
    wanted = {topic.name: topic for topic in topics}
    found = await _fetch_infos(settings, list(wanted))
    for name, topic in wanted.items():
        expected = partition_count(topic, settings.sku_partitions, settings.order_partitions)
        if name not in found:
            raise Mismatch(f"Topic {name} does not exist.", remedy="Run 'inventory migrate'.")
        if found[name].partitions != expected:
            raise Mismatch(
                f"Topic {name} has {found[name].partitions} partitions, the settings say "
                f"{expected}.",
                remedy="Set INVENTORY_SKU_PARTITIONS and INVENTORY_ORDER_PARTITIONS to what the "
                "topics were created with; the number can't change later.",
            )
    return found


async def _fetch_infos(settings: Settings, names: list[str]) -> dict[str, TopicInfo]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await start(admin, settings)
    try:
        client = admin._client
        response = await client.send(client.get_random_node(), _TopicIds(names))
    finally:
        await admin.close()
    return {
        name: TopicInfo(topic_id, len(partitions))
        for code, name, topic_id, _internal, partitions, *_rest in response.topics
        if code == 0
    }


# aiokafka speaks Metadata up to version 5; topic ids came with version 10.


class _Uuid(AbstractType[str]):
    @classmethod
    def encode(cls, value: str) -> bytes:
        return uuid.UUID(value).bytes

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        return str(uuid.UUID(bytes=data.read(16)))


_NODES = CompactArray(Int32)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NODES),
                        ("in_sync", _NODES),
                        ("offline", _NODES),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid),
                ("name", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIds(Request[_MetadataRequest]):
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: Any) -> Any:
        nobody = str(uuid.UUID(int=0))
        topics: list[Any] = [(nobody, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})
