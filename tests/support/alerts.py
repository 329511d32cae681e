"""A small world for the alert rule: a table, four topics, and a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.codec import decode, encode
from schemas.arrivals import Arrival
from schemas.events.alerts import (
    AcknowledgeAlert,
    AlertChanged,
    AlertState,
    RecheckAlert,
    ReorderPoint,
    ResolveAlert,
    SnoozeAlert,
    ThresholdOverride,
)
from schemas.events.stock import StockLevel
from schemas.topics import (
    ALERT_COMMANDS,
    ALERT_STATES,
    LOW_STOCK_ALERTS,
    REORDER_POINTS,
    STOCK_LEVELS,
    THRESHOLD_OVERRIDES,
    Topic,
    key_of,
)
from stream_processors.alerts.rules import Defaults, decide

SKU, PLACE = "TEA-250", "cairo-1"
KEY = f"{SKU}|{PLACE}"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
DEFAULTS = Defaults(raise_at=10, clear_at=13, min_stay_seconds=300)
WHERE: dict[str, Any] = {"sku": SKU, "location_id": PLACE}


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Record:
    """What stands on a topic. body None: the key was removed."""

    topic: Topic
    body: Any
    arrival: Arrival


@dataclass(slots=True)
class Script:
    """Writes records in the order of time; offsets and level versions count by themselves."""

    offsets: dict[str, int] = field(default_factory=dict)
    versions: int = 0

    def record(self, topic: Topic, body: Any, recorded: float) -> Record:
        offset = self.offsets.get(topic.name, -1) + 1
        self.offsets[topic.name] = offset
        return Record(topic, body, Arrival(topic.name, 0, offset, at(recorded), KEY))

    def level(
        self, seconds: float, level: int, reserved: int = 0, backfill: bool = False
    ) -> Record:
        self.versions += 1
        body = StockLevel(
            **WHERE,
            on_hand=level + reserved,
            reserved=reserved,
            version=self.versions,
            occurred_at=at(seconds),
            recorded_at=at(seconds),
            backfill=backfill,
        )
        return self.record(STOCK_LEVELS, body, seconds)

    def reorder_point(self, seconds: float, raise_at: int, clear_at: int) -> Record:
        body = ReorderPoint(
            id=f"r{seconds}", occurred_at=at(seconds), **WHERE, raise_at=raise_at, clear_at=clear_at
        )
        return self.record(REORDER_POINTS, body, seconds)

    def override(
        self, seconds: float, raise_at: int, clear_at: int, until: float | None = None
    ) -> Record:
        body = ThresholdOverride(
            id=f"o{seconds}",
            occurred_at=at(seconds),
            **WHERE,
            by="ann",
            raise_at=raise_at,
            clear_at=clear_at,
            until=None if until is None else at(until),
        )
        return self.record(THRESHOLD_OVERRIDES, body, seconds)

    def removal(self, seconds: float, topic: Topic) -> Record:
        return self.record(topic, None, seconds)

    def acknowledge(self, seconds: float, command_id: str = "a", by: str = "ann") -> Record:
        body = AcknowledgeAlert(id=command_id, occurred_at=at(seconds), by=by, **WHERE)
        return self.record(ALERT_COMMANDS, body, seconds)

    def snooze(self, seconds: float, until: float, command_id: str = "s") -> Record:
        body = SnoozeAlert(
            id=command_id, occurred_at=at(seconds), by="ann", until=at(until), **WHERE
        )
        return self.record(ALERT_COMMANDS, body, seconds)

    def resolve(self, seconds: float, command_id: str = "r") -> Record:
        body = ResolveAlert(id=command_id, occurred_at=at(seconds), by="ann", **WHERE)
        return self.record(ALERT_COMMANDS, body, seconds)

    def recheck(self, seconds: float, due_at: datetime | None = None) -> Record:
        body = RecheckAlert(
            id=f"c{seconds}", occurred_at=at(seconds), by="timers", due_at=due_at, **WHERE
        )
        return self.record(ALERT_COMMANDS, body, seconds)


@dataclass(slots=True)
class World:
    """Applies records as the fold does, and keeps what was said."""

    defaults: Defaults = DEFAULTS
    table: dict[str, AlertState] = field(default_factory=dict)
    said: list[AlertChanged] = field(default_factory=list)
    script: Script = field(default_factory=Script)

    def apply(self, record: Record) -> list[AlertChanged]:
        """What one record makes the alert say. Whatever is written must be readable again."""
        outcome = decide(self.table.get, record.body, record.arrival, self.defaults)
        for key, state in outcome.states.items():
            self.table[key] = decode(ALERT_STATES, key.encode(), encode(state))
            assert self.table[key] == state
        events: list[Any] = []
        for out in outcome.out:
            assert out.topic is LOW_STOCK_ALERTS
            key = key_of(out.topic, out.event)
            assert decode(out.topic, key.encode(), encode(out.event)) == out.event
            events.append(out.event)
        self.said += events
        return events

    def do(self, write: Callable[..., Record], *args: Any, **kwargs: Any) -> list[str]:
        """Write a record and apply it; returns what the alert says."""
        return [event.what for event in self.apply(write(*args, **kwargs))]

    def pass_time(self, seconds: float) -> list[str]:
        """What `timers` does: at the state's due_at it asks for a recheck."""
        said: list[str] = []
        while self.state.due_at is not None and self.state.due_at <= at(seconds):
            due = self.state.due_at
            said += self.do(self.script.recheck, (due - START).total_seconds(), due)
            assert self.state.due_at != due
        return said

    @property
    def state(self) -> AlertState:
        return self.table[KEY]

    @property
    def whats(self) -> list[str]:
        return [event.what for event in self.said]
