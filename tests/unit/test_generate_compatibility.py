"""Which changes of an event are breaks, one kind each."""

from __future__ import annotations

from typing import Any

import pytest

from inventory.generated.compatibility import breaking_changes

Schema = dict[str, Any]


def event(properties: Schema, required: list[str] | None = None, name: str = "placed") -> Schema:
    """An object schema as events have them."""
    return {
        "type": "object",
        "properties": {"type": {"const": name}, **properties},
        "required": ["type", *(required if required is not None else properties)],
    }


def changed(old: Schema, new: Schema) -> list[str]:
    """The breaks when one field `n` changes from old to new."""
    return breaking_changes(event({"n": old}), event({"n": new}))


def test_nothing_changed_breaks_nothing() -> None:
    same = event({"n": {"type": "integer", "minimum": 1}, "s": {"type": "string"}})
    assert breaking_changes(same, same) == []


def test_a_removed_field_breaks() -> None:
    old = event({"n": {"type": "integer"}, "note": {"type": "string"}}, ["n"])
    assert breaking_changes(old, event({"n": {"type": "integer"}})) == [
        "[placed].note: was removed"
    ]


def test_a_new_optional_field_breaks_nothing() -> None:
    new = event({"n": {"type": "integer"}, "note": {"type": "string"}}, ["n"])
    assert breaking_changes(event({"n": {"type": "integer"}}), new) == []


def test_a_new_required_field_breaks() -> None:
    new = event({"n": {"type": "integer"}, "note": {"type": "string"}})
    assert breaking_changes(event({"n": {"type": "integer"}}), new) == [
        "[placed].note: is now required"
    ]


def test_an_optional_field_that_becomes_required_breaks() -> None:
    fields = {"n": {"type": "integer"}}
    assert breaking_changes(event(fields, []), event(fields)) == ["[placed].n: is now required"]
    assert breaking_changes(event(fields), event(fields, [])) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "number"}, {"type": "integer"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}),
        ({}, {"type": "string"}),
        ({"type": "array", "items": {}}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "string"}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a", "b"], "type": "string"}, {"enum": ["a"], "type": "string"}),
        ({"type": "integer"}, {"type": "integer", "minimum": 0}),
        ({"type": "integer", "maximum": 9}, {"type": "integer", "maximum": 8}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 8}),
        ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 2}),
        ({"type": "string"}, {"type": "string", "pattern": "^a"}),
        ({"type": "string", "pattern": "^b"}, {"type": "string", "pattern": "^a"}),
        ({"type": "string"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "x-decimal-places": 4}, {"type": "string", "x-decimal-places": 2}),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}]},
            {"type": "array", "prefixItems": [{"type": "integer"}]},
        ),
        ({"type": "boolean", "default": True}, {"type": "boolean", "default": False}),
    ],
)
def test_what_is_narrowed_breaks(old: Schema, new: Schema) -> None:
    assert len(changed(old, new)) == 1
    assert changed(old, new)[0].startswith("[placed].n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "string"}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ({"type": "string"}, {}),
        ({"type": "string", "enum": ["a"]}, {"type": "string"}),
        ({"enum": ["a"], "type": "string"}, {"enum": ["b", "a"], "type": "string"}),
        ({"const": "a"}, {"enum": ["a", "b"]}),
        ({"type": "integer", "minimum": 0, "maximum": 8}, {"type": "integer", "maximum": 9}),
        ({"type": "string", "pattern": "^a", "minLength": 1}, {"type": "string"}),
    ],
)
def test_what_is_widened_breaks_nothing(old: Schema, new: Schema) -> None:
    assert changed(old, new) == []


def test_another_type_breaks() -> None:
    assert changed({"type": "string"}, {"type": "integer"}) == [
        "[placed].n: string is no longer accepted"
    ]


def test_a_removed_event_type_breaks_and_a_new_one_does_not() -> None:
    placed, paid = event({}, name="placed"), event({}, name="paid")
    both = {"oneOf": [placed, paid]}
    assert breaking_changes(both, {"oneOf": [placed]}) == ["the body: paid is no longer accepted"]
    assert breaking_changes({"oneOf": [placed]}, both) == []


def test_event_types_are_told_apart_by_their_tag_and_not_by_their_place() -> None:
    placed = event({"n": {"type": "integer"}}, name="placed")
    paid = event({"m": {"type": "string"}}, name="paid")
    assert breaking_changes({"oneOf": [placed, paid]}, {"oneOf": [paid, placed]}) == []


def document(line: Schema) -> Schema:
    """A topic whose event holds a list of lines by reference."""
    lines = {"type": "array", "items": {"$ref": "#/$defs/Line"}}
    return {
        "oneOf": [{"$ref": "#/$defs/Placed"}],
        "$defs": {"Placed": event({"lines": lines}), "Line": line},
    }


def test_a_break_in_a_nested_definition_is_named_with_its_path() -> None:
    old = {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]}
    new = {"type": "object", "properties": {"q": {"type": "integer", "maximum": 9}}}
    assert breaking_changes(document(old), document(new)) == [
        "[placed].lines[].q: maximum was tightened to 9"
    ]


def test_a_definition_under_another_name_breaks_nothing() -> None:
    old = document({"type": "object", "properties": {}})
    renamed = document({"type": "object", "properties": {}})
    renamed["$defs"]["OrderLine"] = renamed["$defs"].pop("Line")
    renamed["$defs"]["Placed"]["properties"]["lines"]["items"]["$ref"] = "#/$defs/OrderLine"
    assert breaking_changes(old, renamed) == []


def test_a_definition_that_holds_itself_is_compared_once() -> None:
    def tree(most: int) -> Schema:
        child = {"anyOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]}
        fields = {"child": child, "n": {"type": "integer", "maximum": most}}
        return document({"type": "object", "properties": fields})

    assert breaking_changes(tree(9), tree(9)) == []
    assert breaking_changes(tree(9), tree(8)) == ["[placed].lines[].n: maximum was tightened to 8"]


def test_a_union_of_the_same_kind_is_matched_with_its_closest() -> None:
    old = {"anyOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "minimum": 90}]}
    new = {"anyOf": [{"type": "integer", "minimum": 90}, {"type": "integer", "maximum": 6}]}
    assert changed(old, new) == []


def test_words_break_nothing() -> None:
    old = {"type": "integer", "description": "units", "title": "N"}
    assert changed(old, {"type": "integer", "description": "pieces", "$comment": "whole"}) == []


def test_a_keyword_that_is_not_understood_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="dependentRequired"):
        changed({"type": "object"}, {"type": "object", "dependentRequired": {}})
