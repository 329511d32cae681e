"""What a rule takes and returns. Rules do nothing but compute: no I/O, no clock, no chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.arrivals import Arrival, Refused
from schemas.events.base import Event
from schemas.topics import Topic

Get = Callable[[str], Any]
"""The table as a rule sees it: the state of a key, or None. Never changed in place."""


@dataclass(slots=True)
class Out:
    """A fact, a command or an answer to publish."""

    topic: Topic
    event: Event


@dataclass(slots=True)
class Dead:
    """An earlier event that waited in a state and is given up: it becomes a dead letter."""

    arrival: Arrival
    event: Event
    refused: Refused


@dataclass(slots=True)
class Outcome:
    """What one event leads to: new states by key, and what goes out, in order.

    A rule that refuses raises `schemas.arrivals.Refused` instead, having changed nothing.
    """

    states: dict[str, Any] = field(default_factory=dict)
    out: list[Out] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
