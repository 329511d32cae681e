"""Reads ClickHouse's SQL word by word: to split a file of statements, and to know what one does.

Knows strings, quoted names and comments. What could be read in more than one way (nested comments,
`$` heredocs, `#` and `//` comments, odd spaces and quotes) is refused, so that nothing can hide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<name>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>[0-9]\w*)
  | (?P<unclear>//|[$\#'"`]|/\*|[^\x00-\x7f])
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class UnclearSql(ValueError):
    """The text can't be read with certainty."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted name (without its quotes), a string, a number or a sign, and where."""

    kind: Literal["word", "name", "string", "number", "sign"]
    text: str
    start: int
    end: int

    def says(self, word: str) -> bool:
        """Whether it is this keyword; keywords are never quoted."""
        return self.kind == "word" and self.text.upper() == word


def tokens(sql: str) -> Iterator[Token]:
    """What a text says, without space and comments; raises UnclearSql as soon as it is unclear."""
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup
        text = match.group()
        if kind in ("space", "comment"):
            continue
        if kind == "unclear":
            raise UnclearSql(f"{text!r} at character {match.start()} can be read in several ways")
        if kind == "name":
            if "\\" in text:
                raise UnclearSql(f"the name {text} holds a backslash")
            text = text[1:-1]
        yield Token(kind, text, match.start(), match.end())  # type: ignore[arg-type]


def split_statements(sql: str) -> list[str]:
    """The statements of a text, without their semicolons; empty ones are left out."""
    found = []
    start: int | None = None
    end = 0
    for token in tokens(sql):
        if token.text == ";" and token.kind == "sign":
            if start is not None:
                found.append(sql[start:end])
            start = None
            continue
        if start is None:
            start = token.start
        end = token.end
    if start is not None:
        found.append(sql[start:end])
    return found
