"""The events keep their promise: what is committed, what the code does, and JSON agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from inventory.generate import ROOT, SCHEMAS, broken, generated, stale
from inventory.generated.examples import example, example_key
from inventory.generated.json_schemas import event_type
from runtime.codec import decode, encode
from schemas.arrivals import Refused
from schemas.topics import TOPICS, Topic, key_of
from tests.support.schema_bodies import bodies

WITH_MODELS = [topic for topic in TOPICS if topic.models]
EVENTS = [
    pytest.param(topic, model, id=f"{topic.name}-{event_type(model)}")
    for topic in WITH_MODELS
    for model in topic.models
]


def committed(topic: Topic) -> dict[str, Any]:
    path = ROOT / SCHEMAS / f"{topic.name}.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def test_what_is_committed_is_what_the_code_generates() -> None:
    assert stale(generated()) == [], "run 'python -m inventory.generate'"


def test_no_event_breaks_those_who_rely_on_the_committed_schemas() -> None:
    assert broken() == [], "add an optional field or a new event type instead"


@pytest.mark.parametrize("topic", WITH_MODELS, ids=lambda topic: topic.name)
def test_a_committed_schema_is_a_sound_json_schema(topic: Topic) -> None:
    schema = committed(topic)
    Draft202012Validator.check_schema(schema)
    types = [schema["$defs"][ref["$ref"].rpartition("/")[2]] for ref in schema["oneOf"]]
    assert [t["properties"]["type"]["const"] for t in types] == list(map(event_type, topic.models))


@pytest.mark.parametrize(("topic", "model"), EVENTS)
def test_the_documented_example_is_taken(topic: Topic, model: type[Any]) -> None:
    body = example(topic, model)
    Draft202012Validator(committed(topic)).validate(body)
    event = decode(topic, example_key(topic, body).encode(), json.dumps(body).encode())
    assert type(event) is model


@pytest.mark.parametrize(("topic", "model"), EVENTS)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_what_the_schema_allows_is_taken_written_and_read_again(
    topic: Topic, model: type[Any], data: st.DataObject
) -> None:
    """Bodies drawn from the schema decode; encoded they fit it, and decode to an equal event."""
    schema = committed(topic)
    body = data.draw(bodies(schema, model.__name__))
    event = _decoded(topic, body)
    written = encode(event)
    Draft202012Validator(schema).validate(json.loads(written))
    assert decode(topic, key_of(topic, event).encode(), written) == event


@pytest.mark.parametrize(("topic", "model"), EVENTS)
def test_a_body_without_a_required_field_is_refused(topic: Topic, model: type[Any]) -> None:
    body = example(topic, model)
    validator = Draft202012Validator(committed(topic))
    key = example_key(topic, body).encode()
    for field in body:
        cut = {name: value for name, value in body.items() if name != field}
        if validator.is_valid(cut) or field == "type":
            continue
        with pytest.raises(Refused) as refused:
            decode(topic, key, json.dumps(cut).encode())
        assert refused.value.reason == "invalid"
        # What folds wrote is read by another decoder, which says the field in the sentence only.
        assert field in (refused.value.detail if topic.ours else refused.value.field)


def _decoded(topic: Topic, body: dict[str, Any]) -> Any:
    """The event of a drawn body; bodies that break a rule between two fields are drawn again."""
    key = example_key(topic, body)
    try:
        return decode(topic, key.encode(), json.dumps(body).encode())
    except Refused as refused:
        assume(not refused.detail.startswith("Value error"))
        raise
