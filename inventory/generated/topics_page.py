"""`docs/topics.md`: every topic, who writes and reads it, and the events on it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from inventory.generated.examples import example, example_key
from inventory.generated.json_schemas import Schema, event_type, topic_schema
from inventory.workers import BY_NAME as WORKERS
from runtime.settings import Settings
from runtime.topic_admin import topic_config
from schemas.events.base import Event
from schemas.topics import TOPICS, Topic

OUTSIDE = {
    "importers": "`inventory import`",
    "shell": "the `inventory` command",
    "tills": "tills and web shops",
}
ENVELOPE = ("id", "occurred_at", "known_at", "backfill", "by")

HEAD = """\
# Topics and events

Made from `schemas/` by `python -m inventory.generate`; a test fails when it differs. The same for
programs: [asyncapi.yaml](asyncapi.yaml) and the JSON Schemas in
[schemas/json](../schemas/json).

**Bodies** are JSON objects; `type` says which event it is. Times are ISO 8601 with their zone,
money is a decimal number in a string, quantities are whole units of the product. Fields that
are not listed are ignored.
**Keys** are made of the body's fields. The partition is murmur2 of the UTF-8 key up to its first
`|`, modulo the number of partitions, as Java's default partitioner computes it for keys without
`|`; `runtime.partitions.partition_of` is that function. A record with another key or in another
partition is refused.
**Refused records** go to `dead-letters` with the reason in their headers; the partition goes on.
**Kept** topics hold every record for ever. **Compacted** ones hold the latest a key; a null body
deletes it. **Ledgers** are written by a fold as its table's changelog; keys that start with `@`
are the fold's positions, to be passed over.
**Headers** are those of CloudEvents 1.0 (`ce_id`, `ce_type`, `ce_source`), written always and
required never.
"""


def topics_page() -> str:
    parts = [HEAD, _overview(), _envelope()]
    parts += [_topic(topic) for topic in TOPICS]
    return "\n".join(parts)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("|" + " --- |" * (lines[0].count(" | ") + 1))
    lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def key_text(topic: Topic) -> str:
    return "`" + "|".join(topic.key) + "`" if topic.key else "of the refused record"


def _overview() -> str:
    rows = [
        (
            f"[{topic.name}](#{topic.name})",
            key_text(topic),
            "kept" if topic.keep else "ledger" if topic.ledger else "compacted",
            ", ".join(topic.writers),
            ", ".join(topic.readers),
            topic.why,
        )
        for topic in TOPICS
    ]
    return table(("topic", "key", "", "writers", "readers", "carries"), rows)


def _envelope() -> str:
    schema = topic_schema(next(t for t in TOPICS if issubclass(t.models[0], Event)))
    definition = next(d for d in schema["$defs"].values() if "occurred_at" in d["properties"])
    fields = {"type": {"description": "which event this is"}} | {
        name: definition["properties"][name] for name in ENVELOPE
    }
    fields["type"]["type"] = "string"
    text = "## In every event\n\nLedger states have fields of their own instead.\n\n"
    return text + _fields(fields, ["type", "id", "occurred_at"], schema["$defs"])


def _topic(topic: Topic) -> str:
    writers, readers = (", ".join(map(_who, names)) for names in (topic.writers, topic.readers))
    config = topic_config(topic, Settings.model_construct())
    lines = [
        f"## {topic.name}",
        "",
        f"{_sentence(topic.why)}",
        "",
        f"- Key: {key_text(topic)}; {_group(topic)}",
        f"- {_retention(topic)}: " + ", ".join(f"`{k}={v}`" for k, v in sorted(config.items())),
        f"- Written by {writers}",
        f"- Read by {readers}",
    ]
    if not topic.models:
        lines.append("- Body: the refused bytes as they came; headers `dl_*` say what and why")
        return "\n".join(lines) + "\n"
    lines.append(f"- A record that is refused here is turned into a dead letter by `{topic.guard}`")
    lines.append(f"- JSON Schema: [{topic.name}.json](../schemas/json/{topic.name}.json)")
    schema = topic_schema(topic)
    shown = {model.__name__ for model in topic.models}
    sections = [_event(topic, model, schema) for model in topic.models]
    sections += [
        _part(name, definition, schema["$defs"])
        for name, definition in schema["$defs"].items()
        if name not in shown
    ]
    return "\n".join(lines) + "\n\n" + "\n".join(sections)


def _event(topic: Topic, model: type[Any], schema: Schema) -> str:
    definition = schema["$defs"][model.__name__]
    hidden = {"type", *(ENVELOPE if issubclass(model, Event) else ())}
    fields = {n: f for n, f in definition["properties"].items() if n not in hidden}
    text = f"### {topic.name}: `{event_type(model)}`\n\n"
    if said := definition.get("description"):
        text += f"{said}\n\n"
    if fields:
        text += _fields(fields, definition["required"], schema["$defs"]) + "\n"
    if topic.ledger:
        return text
    body = example(topic, model)
    return text + f"Key `{example_key(topic, body)}`:\n```json\n{json.dumps(body)}\n```\n"


def _part(name: str, definition: Schema, definitions: Schema) -> str:
    said = definition.get("description", "")
    text = f"#### {name}\n\n" + (f"{said}\n\n" if said else "")
    return text + _fields(definition["properties"], definition["required"], definitions)


def _fields(fields: Schema, required: list[str], definitions: Schema) -> str:
    rows = []
    for name, field in fields.items():
        default = field.get("default")
        unless = "" if default in (None, "") else f"`{json.dumps(default)}`"
        rows.append(
            (
                f"`{name}`",
                _kind(field, definitions),
                "needed" if name in required else unless,
                field.get("description", ""),
            )
        )
    return table(("field", "type", "default", "meaning"), rows)


def _kind(schema: Schema, definitions: Schema) -> str:
    """A field's type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_kind(choice, definitions) for choice in choices)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array":
            if "prefixItems" in schema:
                places = ", ".join(_kind(item, definitions) for item in schema["prefixItems"])
                return f"[{places}]"
            return f"list of {_kind(schema['items'], definitions)}" + _limit(schema, "maxItems")
        case "object":
            return f"name → {_kind(schema['additionalProperties'], definitions)}"
        case "integer":
            return "integer" + _range(schema)
        case "string":
            return _string(schema)
    return str(schema.get("type", "anything"))


def _string(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "time"
    if "x-max-digits" in schema:
        digits = f"{schema['x-max-digits']}, {schema['x-decimal-places']}"
        share = "x-maximum" in schema
        return f"decimal({digits})" + (" from 0 to 1" if share else "")
    if "maxLength" not in schema and "pattern" in schema:
        return f"string `{schema['pattern']}`"
    return "string" + _limit(schema, "maxLength")


def _limit(schema: Schema, keyword: str) -> str:
    return f" (at most {schema[keyword]:,})" if keyword in schema else ""


def _range(schema: Schema) -> str:
    if "minimum" not in schema:
        return ""
    return f" from {schema['minimum']:,} to {schema['maximum']:,}"


def _who(name: str) -> str:
    if name in WORKERS:
        return f"`{name}` ({WORKERS[name].what})"
    return OUTSIDE.get(name, f"`{name}`")


def _group(topic: Topic) -> str:
    return {
        "sku": "partitions as `INVENTORY_SKU_PARTITIONS` says",
        "order": "partitions as `INVENTORY_ORDER_PARTITIONS` says",
        "other": "one partition",
    }[topic.group]


def _retention(topic: Topic) -> str:
    if topic.keep:
        return "Kept for ever"
    if topic.personal:
        return "Compacted within 7 days, since it holds personal data"
    return "Compacted, a ledger" if topic.ledger else "Compacted"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
