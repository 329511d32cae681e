"""The JSON Schema of what a topic carries: `schemas/json/<topic>.json`.

It says what writers must write. Readers accept a little more: a number where money should be a
string, and fields that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from inventory.generated.docstrings import field_meanings, summary
from schemas.events.base import SKU_LENGTH_MAX, Sku
from schemas.topics import Topic

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
LINE_LENGTH = 100
_CHECK_SKU = get_args(Sku)[1].func


@cache
def topic_schema(topic: Topic) -> Schema:
    """One document: a body is one of the topic's event types, each under `$defs`.

    Shared by all callers, who change nothing in it.
    """
    inputs = [(model.__name__, "validation", TypeAdapter(model)) for model in topic.models]
    # pydantic's own type of `inputs` asks for literals that a comprehension cannot show.
    keyed, shared = TypeAdapter.json_schemas(inputs, schema_generator=_Generator)  # type: ignore[arg-type]
    definitions: dict[str, Schema] = dict(shared.get("$defs", {}))
    for (name, _mode), schema in keyed.items():
        definitions.setdefault(str(name), dict(schema))
    for model in _classes(topic):
        _describe(definitions[model.__name__], model)
    return {
        "$schema": DIALECT,
        "$id": f"{topic.name}.json",
        "title": topic.name,
        "description": topic.why,
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in topic.models],
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(topic: Topic) -> str:
    """The document as it is committed."""
    return compact_json(topic_schema(topic)) + "\n"


def compact_json(value: Any, indent: str = "") -> str:
    """JSON for people and diffs: what fits on one line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= LINE_LENGTH or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [
            f"{deeper}{json.dumps(name)}: {compact_json(part, deeper)}"
            for name, part in value.items()
        ]
    else:
        parts = [deeper + compact_json(part, deeper) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(parts) + f"\n{indent}{closing}"


def event_type(model: type[Any]) -> str:
    """What the body's `type` says for this model."""
    return str(model.__dataclass_fields__["type"].default)


class _Generator(GenerateJsonSchema):
    """pydantic's generator, told what its schemas of our own types leave out."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        limits = {
            "x-max-digits": schema.get("max_digits"),
            "x-decimal-places": schema.get("decimal_places"),
            "x-minimum": schema.get("ge"),
            "x-maximum": schema.get("le"),
        }
        return {
            "type": "string",
            "pattern": r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$",
            **{name: int(limit) for name, limit in limits.items() if limit is not None},
        }

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> Any:
        if schema["function"]["function"] is not _CHECK_SKU:
            return super().function_after_schema(schema)
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": SKU_LENGTH_MAX,
            "pattern": r"^[^\x00-\x1f\x7f|]*$",
            "$comment": "NFKC, trimmed, upper case",
        }

    def get_title_from_name(self, name: str) -> str:
        return ""  # a title that only repeats the field's name

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _classes(topic: Topic) -> Iterator[type[Any]]:
    """The topic's event classes and every class that stands in one of their fields."""
    seen: set[type[Any]] = set()
    waiting: list[Any] = list(topic.models)
    while waiting:
        found = waiting.pop()
        if hasattr(found, "__dataclass_fields__") and found not in seen:
            seen.add(found)
            waiting.extend(get_type_hints(found).values())
            yield found
        waiting.extend(get_args(found))


def _describe(schema: Schema, model: type[Any]) -> None:
    """Put the docstring's words in, and that a writer always says the type."""
    properties: Schema = schema["properties"]
    for name, meaning in field_meanings(model).items():
        properties[name]["description"] = meaning
    required: list[str] = schema.get("required", [])
    if "const" in properties.get("type", {}):
        properties["type"].pop("default", None)
        properties = {"type": properties["type"], **properties}
        required = ["type", *(name for name in required if name != "type")]
    said = summary(model)
    schema.clear()
    schema.update(
        ({"description": said} if said else {})
        | {"type": "object", "required": required, "properties": properties}
    )
