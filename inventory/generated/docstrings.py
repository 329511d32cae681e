"""What the docstrings of the event classes say of each field, in a form that pages can show."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any


def summary(cls: type[Any]) -> str:
    """What the class is: its docstring up to where single fields are explained."""
    return _split(cls)[0]


def field_meanings(cls: type[Any]) -> dict[str, str]:
    """Field -> what its class says of it, or else the classes it builds on."""
    meanings: dict[str, str] = {}
    for base in cls.__mro__:
        if dataclasses.is_dataclass(base):
            meanings = _split(base)[1] | meanings
    return meanings


def _split(cls: type[Any]) -> tuple[str, dict[str, str]]:
    """Summary and meanings. A field is explained as `name: text` or `name, other: text`."""
    own = cls.__dict__.get("__doc__") or ""
    if own.startswith(f"{cls.__name__}("):  # what dataclass writes where nobody wrote anything
        own = ""
    text = inspect.cleandoc(own)
    names = "|".join(field.name for field in dataclasses.fields(cls))
    heads = re.compile(rf"(?:^|(?<=\.)\s+)((?:{names})(?:, (?:{names}))*): ", re.MULTILINE)
    found = list(heads.finditer(text))
    ends = [head.start() for head in found[1:]] + [len(text)]
    meanings = {
        name: _line(text[head.end() : end])
        for head, end in zip(found, ends, strict=False)
        for name in head[1].split(", ")
    }
    return _line(text[: found[0].start()] if found else text), meanings


def _line(text: str) -> str:
    return " ".join(text.split())
