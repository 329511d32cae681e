"""Draws JSON bodies from the JSON Schema of an event: all that a writer outside may send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.events.base import canonical_sku

Schema = dict[str, Any]
SECONDS_MAX = 7_258_000_000  # the last days of 2199
LETTERS = st.characters(
    codec="utf-8", categories=["L", "N", "P", "S", "Zs"], exclude_characters="|"
)
CURRENCIES = st.sampled_from(["EUR", "EGP", "USD"])
BARCODES = st.sampled_from(["12345670", "4006381333931"])
BY_PATTERN = {"^[A-Z]{3}$": CURRENCIES, r"^(\d{8}|\d{12,14})$": BARCODES}


def bodies(document: Schema, name: str) -> st.SearchStrategy[Schema]:
    """Bodies of the event type `name` of a topic's schema."""
    return _values({"$ref": f"#/$defs/{name}"}, document["$defs"])


def _values(schema: Schema, definitions: Schema) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of(*(_values(choice, definitions) for choice in choices))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**62)), schema.get("maximum", 2**62))
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "string":
            return _strings(schema)
        case "array":
            return _lists(schema, definitions)
        case "object":
            return _objects(schema, definitions)
    raise ValueError(f"no values are known for {schema}")


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.builds(_time, st.integers(0, SECONDS_MAX * 1_000_000), st.integers(-12, 12))
    if "x-max-digits" in schema:
        return _decimals(schema).map(str)
    if schema.get("$comment", "").startswith("NFKC"):
        return st.text(LETTERS, min_size=1, max_size=8).map(_sku).filter(bool)
    if schema.get("pattern") in BY_PATTERN:
        return BY_PATTERN[schema["pattern"]]
    longest = min(schema.get("maxLength", 12), 12)
    return st.text(LETTERS, min_size=schema.get("minLength", 0), max_size=longest)


def _decimals(schema: Schema) -> st.SearchStrategy[Decimal]:
    places = schema["x-decimal-places"]
    most = 10 ** (schema["x-max-digits"] - places) - 1
    return st.decimals(schema.get("x-minimum", -most), schema.get("x-maximum", most), places=places)


def _lists(schema: Schema, definitions: Schema) -> st.SearchStrategy[list[Any]]:
    if "prefixItems" in schema:
        places = (_values(item, definitions) for item in schema["prefixItems"])
        return st.tuples(*places).map(list)
    items = _values(schema["items"], definitions)
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)


def _objects(schema: Schema, definitions: Schema) -> st.SearchStrategy[Schema]:
    if "properties" not in schema:
        return st.dictionaries(
            st.text(LETTERS, max_size=8),
            _values(schema["additionalProperties"], definitions),
            max_size=3,
        )
    fields = {n: _values(field, definitions) for n, field in schema["properties"].items()}
    required = {n: field for n, field in fields.items() if n in schema["required"]}
    optional = {n: field for n, field in fields.items() if n not in schema["required"]}
    return st.fixed_dictionaries(required, optional=optional)


def _time(microseconds: int, hours: int) -> str:
    """An instant as a writer in another zone would write it."""
    zone = timezone(timedelta(hours=hours))
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))
        .astimezone(zone)
        .isoformat()
    )


def _sku(text: str) -> str:
    try:
        sku = canonical_sku(text)
    except ValueError:
        return ""
    return sku if canonical_sku(sku) == sku else ""
