"""Reads the end of a part's log and says in a sentence why it ended."""

from __future__ import annotations

import json
import re
from pathlib import Path

TAIL_BYTES = 16 * 1024
SAID_MAX = 300
SENTENCE = "inventory: "

# What servers print when they cannot go on -> what it means.
CAUSES = (
    (
        r"Address already in use|could not create any TCP/IP sockets|Port \d+ cannot be used",
        "another program took its port; 'inventory down' and 'inventory up' choose a new one",
    ),
    (r"No space left on device|not enough space", "the disk is full; free some space"),
    (r"OutOfMemoryError|Cannot allocate memory|MEMORY_LIMIT", "there is not enough memory"),
    (r"Too many open files", "the limit of open files is too low; raise it with 'ulimit -n 65536'"),
    (r"Read-only file system", "the disk is mounted read-only"),
    (r"Permission denied", "it may not read or write one of its files"),
)
_CAUSES = [(re.compile(pattern), said) for pattern, said in CAUSES]


def tail(path: Path, start: int = 0) -> list[str]:
    """The last lines of a log that are not empty; `start`: nothing before this byte."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return lines_of(text)


def lines_of(text: str) -> list[str]:
    """The lines that are not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def explain(lines: list[str]) -> str:
    """Why a process ended, as far as it said: a known cause, else its last words."""
    for line in reversed(lines):
        for pattern, said in _CAUSES:
            if pattern.search(line):
                return said
    return last_words(lines)


def last_words(lines: list[str]) -> str:
    """The last line, in words: of a JSON line its event and error."""
    if not lines:
        return ""
    line = lines[-1]
    for said in lines[-2:]:
        if said.startswith(SENTENCE):  # a command's error; what follows is the remedy
            return _short(said.removeprefix(SENTENCE))
    try:
        entry = json.loads(line)
        event = str(entry["event"])
    except (ValueError, KeyError, TypeError):
        return _short(line)
    detail = entry.get("error") or str(entry.get("exception", "")).strip().rpartition("\n")[2]
    return _short(f"{event}: {detail}" if detail else event)


def _short(text: str) -> str:
    text = text.rstrip(".")
    return text if len(text) <= SAID_MAX else text[: SAID_MAX - 1] + "…"
