"""An example body of each event: the fields that a writer must state, and nothing else."""

from __future__ import annotations

from typing import Any

from inventory.generated.json_schemas import Schema, event_type, topic_schema
from schemas.topics import Topic

# What stands for a field in examples; other fields get the plainest value of their type.
VALUES: Schema = {
    "id": "till-7-000123",
    "occurred_at": "2026-03-02T09:30:00Z",
    "recorded_at": "2026-03-02T09:30:01Z",
    "known_at": "2026-03-02T09:30:01Z",
    "until": "2026-03-03T09:30:00Z",
    "due_at": "2026-03-02T10:00:00Z",
    "since": "2026-03-02T09:30:00Z",
    "sku": "TEA-250",
    "location_id": "cairo-1",
    "from_location_id": "giza-warehouse",
    "to_location_id": "cairo-1",
    "ship_from": ["cairo-1", "giza-warehouse"],
    "order_id": "pos-7-000123",
    "transfer_id": "transfer-88",
    "customer_id": "customer-4",
    "supplier_id": "supplier-9",
    "import_id": "online-retail-1",
    "alert_id": "alert-TEA-250-cairo-1-1",
    "command_id": "pos-7-000123-1-sell",
    "currency": "EUR",
    "unit_price": "3.50",
    "amount": "7.00",
    "name": "Green tea, 250 g",
    "reason": "torn bag",
    "why": "8 left, alert at 10",
    "quantity": 2,
    "delta": -1,
    "counted": 12,
    "reserved": 2,
    "level": 8,
    "raise_at": 10,
    "clear_at": 13,
    "old_state": "ok",
    "state": "low",
    "topic": "orders",
    "source": "online-retail",
    "file": "online-retail.csv",
}
# Where an event needs more or something else: by its type.
MORE: dict[str, Schema] = {
    "placed": {"location_id": "cairo-1"},
    "location": {"name": "Cairo, Tahrir Square"},
    "supplier": {"name": "Nile Tea Traders"},
}


def example(topic: Topic, model: type[Any]) -> Schema:
    """A body that the codec takes: the required fields of `model` with plain values."""
    document = topic_schema(topic)
    body: Schema = _value(document["$defs"][model.__name__], document["$defs"], "")
    return body | MORE.get(event_type(model), {})


def example_key(topic: Topic, body: Schema) -> str:
    """The record's key that belongs to a body."""
    return "|".join(str(body.get(field, "")) for field in topic.key)


def _value(schema: Schema, definitions: Schema, name: str) -> Any:
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rpartition("/")[2]], definitions, name)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _value(choices[0], definitions, name)
    if "const" in schema:
        return schema["const"]
    if name in VALUES:
        return VALUES[name]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {
                field: _value(schema["properties"][field], definitions, field)
                for field in schema["required"]
            }
        case "array":
            return [_value(schema["items"], definitions, name)]
        case "integer":
            return max(schema.get("minimum", 1), 1)
        case "string":
            return name or "text"
    raise ValueError(f"no example is known for {name!r}: add one to VALUES")
