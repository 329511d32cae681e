"""`docs/asyncapi.yaml`: the topics and events as an AsyncAPI 3.0 document.

Payloads refer to the committed JSON Schemas. One operation stands for each worker (or outside
writer) and topic.
"""

from __future__ import annotations

from typing import Any

import yaml

from inventory.generated.docstrings import summary
from inventory.generated.examples import example
from inventory.generated.json_schemas import Schema, event_type
from inventory.generated.topics_page import key_text
from runtime.partitions import partition_count
from runtime.settings import Settings
from runtime.topic_admin import topic_config
from schemas.topics import TOPICS, Topic

BINDING = {"bindingVersion": "0.5.0"}
# What the Kafka binding knows of a topic's configuration; the rest stands beside it.
BINDING_CONFIG = ("cleanup.policy", "retention.ms", "retention.bytes")
EVENT_HEADERS = {
    "ce_specversion": "always 1.0",
    "ce_id": "the id of the event",
    "ce_type": "the type of the event",
    "ce_source": "who published it, like /till/cairo-1",
    "content-type": "always application/json",
}
DEAD_LETTER_HEADERS = {
    "dl_topic": "where the refused record stands",
    "dl_partition": "its partition",
    "dl_offset": "its offset",
    "dl_recorded_at": "when Kafka recorded it",
    "dl_reason": "a short code, like invalid or wrong_partition",
    "dl_field": "which field of the body is at fault, where one is",
    "dl_detail": "what is wrong, in a sentence",
}


def asyncapi_text(version: str) -> str:
    """The document as it is committed. `version`: of this project."""
    head = "# Made from schemas/ by python -m inventory.generate; a test fails when it differs.\n"
    return head + yaml.safe_dump(
        asyncapi_document(version), sort_keys=False, allow_unicode=True, width=100
    )


def asyncapi_document(version: str) -> Schema:
    settings = Settings.model_construct()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Inventory Manager",
            "version": version,
            "description": "Orders in, live stock and alerts out. See docs/topics.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{host}:{port}",
                "protocol": "kafka",
                "description": "INVENTORY_KAFKA says where; 'inventory status' prints it.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "9092"}},
            }
        },
        "channels": {topic.name: _channel(topic, settings) for topic in TOPICS},
        "operations": {
            f"{who}-{action}s-{topic.name}": _operation(topic, who, action)
            for topic in TOPICS
            for action, names in (("send", topic.writers), ("receive", topic.readers))
            for who in names
        },
        "components": {
            "messages": {
                name: message for topic in TOPICS for name, message in _messages(topic).items()
            },
            "schemas": {
                "EventHeaders": _headers(EVENT_HEADERS),
                "DeadLetterHeaders": _headers(DEAD_LETTER_HEADERS),
            },
        },
    }


def _channel(topic: Topic, settings: Settings) -> Schema:
    config: Schema = dict(topic_config(topic, settings))
    binding = {name: config.pop(name) for name in BINDING_CONFIG if name in config}
    binding["cleanup.policy"] = [binding["cleanup.policy"]]
    for name in ("retention.ms", "retention.bytes"):
        if name in binding:
            binding[name] = int(binding[name])
    partitions = partition_count(topic, settings.sku_partitions, settings.order_partitions)
    return {
        "address": topic.name,
        "description": topic.why,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            name.rpartition(".")[2]: {"$ref": f"#/components/messages/{name}"}
            for name in _messages(topic)
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": partitions,
                "replicas": settings.kafka_replication,
                "topicConfiguration": binding,
                **BINDING,
            }
        },
        "x-partition-group": topic.group,
        "x-topic-configuration": config,
    }


def _operation(topic: Topic, who: str, action: str) -> Schema:
    verb = "writes" if action == "send" else "reads"
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"{who} {verb} {topic.name}: {topic.why}",
        "messages": [
            {"$ref": f"#/channels/{topic.name}/messages/{name.rpartition('.')[2]}"}
            for name in _messages(topic)
        ],
    }


def _messages(topic: Topic) -> dict[str, Schema]:
    """`topic.type` -> message."""
    key = {"type": "string", "description": f"{key_text(topic)} of the body".replace("`", "")}
    binding = {"kafka": {"key": key, **BINDING}}
    if not topic.models:
        key["description"] = "the key of the refused record"
        return {
            f"{topic.name}.refused": {
                "name": "refused",
                "title": "A refused record",
                "summary": "The original bytes, which may be anything.",
                "contentType": "application/octet-stream",
                "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
                "payload": {},
                "bindings": binding,
            }
        }
    return {f"{topic.name}.{event_type(m)}": _message(topic, m, binding) for m in topic.models}


def _message(topic: Topic, model: type[Any], binding: Schema) -> Schema:
    message: Schema = {"name": event_type(model), "title": model.__name__}
    if said := summary(model):
        message["summary"] = said
    if not topic.ledger:
        message["headers"] = {"$ref": "#/components/schemas/EventHeaders"}
    reference = f"../schemas/json/{topic.name}.json#/$defs/{model.__name__}"
    message |= {"payload": {"$ref": reference}, "bindings": binding}
    if not topic.ledger:
        message["examples"] = [{"payload": example(topic, model)}]
    return message


def _headers(meanings: dict[str, str]) -> Schema:
    fields = {name: {"type": "string", "description": said} for name, said in meanings.items()}
    return {"type": "object", "properties": fields}
