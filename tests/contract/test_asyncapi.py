"""docs/asyncapi.yaml is a sound AsyncAPI 3.0 document, by the rules that can be checked offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from inventory.generate import ROOT
from schemas.topics import BY_NAME, TOPICS

# The fields of each object, as the specification of AsyncAPI 3.0.0 lists those used here.
ROOT_FIELDS = {
    *("asyncapi", "id", "info", "servers", "defaultContentType"),
    *("channels", "operations", "components"),
}
CHANNEL_FIELDS = {
    *("address", "messages", "title", "summary", "description", "servers", "parameters"),
    *("tags", "externalDocs", "bindings"),
}
OPERATION_FIELDS = {
    *("action", "channel", "title", "summary", "description", "security", "tags"),
    *("externalDocs", "bindings", "traits", "messages", "reply"),
}
MESSAGE_FIELDS = {
    *("headers", "payload", "correlationId", "contentType", "name", "title", "summary"),
    *("description", "tags", "externalDocs", "bindings", "examples", "traits"),
}
BINDING_FIELDS = {"topic", "partitions", "replicas", "topicConfiguration", "bindingVersion"}
TOPIC_CONFIGURATION = {
    *("cleanup.policy", "retention.ms", "retention.bytes"),
    *("delete.retention.ms", "max.message.bytes"),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text("utf-8"))
    return loaded


def test_the_root_has_what_version_3_asks_for(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert set(document) <= ROOT_FIELDS
    assert document["info"]["title"]
    assert document["info"]["version"]
    for server in document["servers"].values():
        assert server["protocol"] == "kafka"
        assert server["host"].format(**server["variables"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = list(_references(document))
    assert len(references) > len(TOPICS)
    for reference in references:
        _resolve(document, reference)


def test_channels_are_the_topics_with_their_kafka_binding(document: dict[str, Any]) -> None:
    assert {c["address"] for c in document["channels"].values()} == set(BY_NAME)
    for channel in document["channels"].values():
        assert _plain(channel) <= CHANNEL_FIELDS
        assert channel["messages"]
        binding = channel["bindings"]["kafka"]
        assert set(binding) <= BINDING_FIELDS
        assert binding["partitions"] >= 1
        configuration = binding["topicConfiguration"]
        assert set(configuration) <= TOPIC_CONFIGURATION
        assert set(configuration["cleanup.policy"]) <= {"delete", "compact"}
        keeps = BY_NAME[channel["address"]].keep
        assert ("delete" in configuration["cleanup.policy"]) == keeps
        assert (configuration.get("retention.ms") == -1) == keeps


def test_operations_say_who_writes_and_who_reads(document: dict[str, Any]) -> None:
    for topic in TOPICS:
        for action, names in (("send", topic.writers), ("receive", topic.readers)):
            for name in names:
                operation = document["operations"][f"{name}-{action}s-{topic.name}"]
                assert _plain(operation) <= OPERATION_FIELDS
                assert operation["action"] == action
                assert operation["channel"] == {"$ref": f"#/channels/{topic.name}"}
                # The specification wants messages named through the channel, not the components.
                own = f"#/channels/{topic.name}/messages/"
                assert all(message["$ref"].startswith(own) for message in operation["messages"])


def test_messages_have_a_key_and_examples_that_fit_their_payload(document: dict[str, Any]) -> None:
    examples = 0
    for message in document["components"]["messages"].values():
        assert _plain(message) <= MESSAGE_FIELDS
        assert message["bindings"]["kafka"]["key"]["type"] == "string"
        for example in message.get("examples", ()):
            examples += 1
            name, _, fragment = message["payload"]["$ref"].partition("#")
            schema = json.loads((ROOT / "docs" / name).read_text("utf-8"))
            Draft202012Validator(schema | {"oneOf": [{"$ref": f"#{fragment}"}]}).validate(
                example["payload"]
            )
    assert examples >= 20


def _plain(thing: dict[str, Any]) -> set[str]:
    """The fields that are no extensions of ours."""
    return {name for name in thing if not name.startswith("x-")}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _resolve(document: dict[str, Any], reference: str) -> Any:
    """What a reference stands for, in this document or in a file beside it."""
    file, _, fragment = reference.partition("#")
    found: Any = json.loads((ROOT / "docs" / file).read_text("utf-8")) if file else document
    for step in fragment.strip("/").split("/"):
        found = found[step]
    return found
