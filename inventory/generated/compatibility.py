"""Which changes of an event break somebody: a pure comparison of two JSON Schemas.

Kept topics hold what was written years ago, and writers outside are updated late. So whatever
the old schema accepts, the new one must accept with the same meaning, and no field that a reader
may use goes away. New optional fields, new event types and new values of an enumeration are fine.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
Seen = frozenset[tuple[str, str]]

UPPER_BOUNDS = ("maximum", "maxLength", "maxItems", "x-max-digits", "x-decimal-places", "x-maximum")
LOWER_BOUNDS = ("minimum", "minLength", "minItems", "x-minimum")
EXACT = ("pattern", "format", "multipleOf", "uniqueItems")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """A sentence for each thing that the old schema allows or promises and the new one does not.

    Both are documents with `$defs` that `#/$defs/...` refers to. Raises ValueError where a
    keyword appears whose meaning is not known here: it could hide a break.
    """
    return sorted(set(_Comparison(old, new).compare(old, new, "", frozenset())))


class _Comparison:
    """Two documents, and what in one refers to elsewhere in it."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old_defs: Schema = old.get("$defs", {})
        self._new_defs: Schema = new.get("$defs", {})

    def compare(self, old: Schema, new: Schema, path: str, seen: Seen) -> list[str]:
        """`seen`: pairs of definitions compared further up, for types that hold themselves."""
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if all(pair):
            if pair in seen:
                return []
            seen |= {pair}
        old, new = _resolve(old, self._old_defs), _resolve(new, self._new_defs)
        found: list[str] = []
        if "default" in old and "default" in new and old["default"] != new["default"]:
            found.append(
                _at(path, f"default changed from {old['default']!r} to {new['default']!r}")
            )
        if _choices(old) == [old] and _choices(new) == [new]:
            return found + self._plain(old, new, path, seen)
        for choice in _choices(old):
            found += self._closest(choice, _choices(new), path, seen)
        return found

    def _closest(self, old: Schema, choices: list[Schema], path: str, seen: Seen) -> list[str]:
        """One alternative of the old schema against the new one's most like it."""
        wanted = _resolve(old, self._old_defs)
        attempts: list[list[str]] = [
            self.compare(old, choice, path, seen)
            for choice in choices
            if _similar(wanted, _resolve(choice, self._new_defs))
        ]
        if not attempts:
            return [_at(path, f"{_name(wanted)} is no longer accepted")]
        return min(attempts, key=len)

    def _plain(self, old: Schema, new: Schema, path: str, seen: Seen) -> list[str]:
        if not _similar(old, new):
            return [_at(path, f"{_name(old)} is no longer accepted")]
        return self._one(old, new, f"{path}[{_name(old)}]" if _tag(old) else path, seen)

    def _one(self, old: Schema, new: Schema, path: str, seen: Seen) -> list[str]:
        """One plain schema against another of the same kind."""
        _refuse_unknown(old)
        _refuse_unknown(new)
        found = _values(old, new, path) + _bounds(old, new, path)
        if "properties" in old or "properties" in new:
            found += self._fields(old, new, path, seen)
        for keyword, place in (("items", "[]"), ("additionalProperties", "{}")):
            if keyword not in new:
                continue
            before, after = old.get(keyword, {}), new[keyword]
            if after is False and before is not False:
                found.append(_at(path + place, "other entries are no longer accepted"))
            elif isinstance(before, dict) and isinstance(after, dict):
                found += self.compare(before, after, path + place, seen)
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(after) != len(before):
            found.append(_at(path, f"has {len(after)} places instead of {len(before)}"))
        for number, (one, other) in enumerate(zip(before, after, strict=False)):
            found += self.compare(one, other, f"{path}[{number}]", seen)
        return found

    def _fields(self, old: Schema, new: Schema, path: str, seen: Seen) -> list[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        newly_required = set(new.get("required", ())) - set(old.get("required", ()))
        found = [_at(f"{path}.{name}", "was removed") for name in before if name not in after]
        found += [_at(f"{path}.{name}", "is now required") for name in newly_required]
        for name in before:
            if name in after:
                found += self.compare(before[name], after[name], f"{path}.{name}", seen)
        return found


def _values(old: Schema, new: Schema, path: str) -> list[str]:
    allowed = _listed(new)
    if allowed is None:
        return []
    before = _listed(old)
    if before is None:
        return [_at(path, f"only {allowed} are accepted now")]
    return [_at(path, f"value {value!r} was removed") for value in before if value not in allowed]


def _bounds(old: Schema, new: Schema, path: str) -> list[str]:
    found = []
    for keyword in UPPER_BOUNDS:
        if keyword in new and new[keyword] < old.get(keyword, float("inf")):
            found.append(_at(path, f"{keyword} was tightened to {new[keyword]}"))
    for keyword in LOWER_BOUNDS:
        if keyword in new and new[keyword] > old.get(keyword, float("-inf")):
            found.append(_at(path, f"{keyword} was tightened to {new[keyword]}"))
    for keyword in EXACT:
        if keyword in new and new[keyword] != old.get(keyword):
            found.append(_at(path, f"{keyword} is now {new[keyword]!r}"))
    return found


_KNOWN = {
    *UPPER_BOUNDS,
    *LOWER_BOUNDS,
    *EXACT,
    *("$schema", "$id", "$defs", "$ref", "$comment", "title", "description", "default"),
    *("type", "const", "enum", "anyOf", "oneOf", "discriminator", "properties", "required"),
    *("items", "prefixItems", "additionalProperties"),
}


def _refuse_unknown(schema: Schema) -> None:
    if unknown := set(schema) - _KNOWN:
        raise ValueError(f"cannot compare the keywords {sorted(unknown)}")


def _resolve(schema: Schema, definitions: Schema) -> Schema:
    """What a reference stands for, with what is said beside it."""
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    if "$ref" not in schema:
        return schema
    return _resolve(definitions[schema["$ref"].rpartition("/")[2]], definitions) | beside


def _choices(schema: Schema) -> list[Schema]:
    """The alternatives of a schema, itself where it has none."""
    choices: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    return choices or [schema]


def _similar(old: Schema, new: Schema) -> bool:
    """Whether the new one is what the old one may have become, by event type or JSON type."""
    if _tag(old) or _tag(new):
        return bool(_tag(old) == _tag(new))
    before, after = old.get("type"), new.get("type")
    return bool(after is None or after == before or (before, after) == ("integer", "number"))


def _tag(schema: Schema) -> Any:
    """The `type` that an event's body carries."""
    return schema.get("properties", {}).get("type", {}).get("const")


def _name(schema: Schema) -> str:
    return str(_tag(schema) or schema.get("type", "anything"))


def _listed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _at(path: str, what: str) -> str:
    return f"{path.lstrip('.') or 'the body'}: {what}"
