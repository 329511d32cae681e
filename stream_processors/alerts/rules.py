"""The rule of the alert fold: levels, thresholds and what people say in, changes of alerts out.

An alert is a pure function of the level's reduced past, the thresholds in force and the newest
event time (`hysteresis`), so it does not matter which topic was read first. What people say
concerns the alert that is open when it is read and was open when it was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from schemas.arrivals import Arrival
from schemas.events.alerts import (
    AcknowledgeAlert,
    AlertChanged,
    AlertState,
    RecheckAlert,
    ReorderPoint,
    ResolveAlert,
    Severity,
    SnoozeAlert,
    Threshold,
    ThresholdOverride,
    ThresholdSource,
    What,
)
from schemas.events.stock import SeenCommands, SkuState, StockLevel
from schemas.topics import LOW_STOCK_ALERTS, REORDER_POINTS, STOCK_LEVELS
from stream_processors.alerts.hysteresis import add_point, judge, ladder
from stream_processors.engine.outcome import Get, Out, Outcome

Answer = AcknowledgeAlert | SnoozeAlert | ResolveAlert
"""What people say about an alert."""
AlertInput = StockLevel | ReorderPoint | ThresholdOverride | Answer | RecheckAlert

RANK: dict[Severity, int] = {"ok": 0, "low": 1, "critical": 2, "out": 3}
# A history that nobody ends with a recheck is over when nothing of it came for so long.
HISTORY_QUIET = timedelta(seconds=60)
SEEN_MAX = 20
ID_LENGTH_MAX = 128
TEXT_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Defaults:
    """Levels where nobody set any, and the least stay of an alert by event time.

    Raises ValueError unless clear_at lies above raise_at.
    """

    raise_at: int
    clear_at: int
    min_stay_seconds: int

    def __post_init__(self) -> None:
        if self.clear_at <= self.raise_at:
            raise ValueError("clear_at lies above raise_at: the gap keeps alerts from trembling")


def decide(
    get: Get,
    event: AlertInput | SkuState | SeenCommands | None,
    arrival: Arrival,
    defaults: Defaults,
) -> Outcome:
    """What one record leads to.

    event: a level, a threshold (None: it was removed, the key says whose), or a command.
    """
    if isinstance(event, SkuState | SeenCommands):
        return Outcome()  # of a SKU, not of a place
    if event is None and arrival.topic == STOCK_LEVELS.name:
        return Outcome()
    key = arrival.key if event is None else f"{event.sku}|{event.location_id}"
    old: AlertState | None = get(key)
    if _means_nothing(old, event, arrival):
        return Outcome()
    step = _begin(key, old, event, arrival, defaults)
    if event is None:
        step.set_threshold(None)
    elif isinstance(event, StockLevel):
        step.take_level(event)
    elif isinstance(event, ReorderPoint | ThresholdOverride):
        step.set_threshold(_threshold(event))
    elif isinstance(event, RecheckAlert):
        step.state.backfill = False
    step.look()
    if isinstance(event, Answer):
        step.answer(event)
    step.end()
    return Outcome(states={key: step.state}, out=step.out)


def _means_nothing(old: AlertState | None, event: AlertInput | None, arrival: Arrival) -> bool:
    """Old, sent twice, about no alert that is open, or too early: nothing changes."""
    if isinstance(event, StockLevel):
        return old is not None and event.version <= old.level_version
    if isinstance(event, ReorderPoint | ThresholdOverride):
        return False
    if old is None:
        return True
    if event is None:
        return _held(old, arrival) is None
    if isinstance(event, RecheckAlert):
        return event.due_at is not None and event.due_at != old.due_at
    return (
        old.opened_at is None
        or arrival.recorded_at < old.opened_at
        or _digest(event.id) in old.seen
    )


def _held(state: AlertState, arrival: Arrival) -> Threshold | None:
    """The threshold that a record of this topic replaces."""
    return state.reorder_point if arrival.topic == REORDER_POINTS.name else state.override


def _threshold(event: ReorderPoint | ThresholdOverride) -> Threshold:
    until = event.until if isinstance(event, ThresholdOverride) else None
    return Threshold(raise_at=event.raise_at, clear_at=event.clear_at, until=until, by=event.by)


def _digest(event_id: str) -> str:
    return blake2b(event_id.encode(), digest_size=6).hexdigest()


@dataclass(slots=True)
class _InForce:
    """The thresholds that count now."""

    raise_at: int
    clear_at: int
    source: ThresholdSource
    said: str


@dataclass(slots=True)
class _Step:
    """One record being applied. `state` is a fresh copy, nobody else's yet."""

    state: AlertState
    before: Severity
    at: datetime
    by: str | None
    arrival: Arrival
    defaults: Defaults
    better_at: datetime | None = None
    out: list[Out] = field(default_factory=list)

    def take_level(self, event: StockLevel) -> None:
        state = self.state
        state.level = event.on_hand - event.reserved
        state.level_version = event.version
        state.backfill = event.backfill
        point = (state.level, _millis(self.at), event.version)
        state.lows, state.highs = add_point(state.lows, state.highs, point)

    def set_threshold(self, threshold: Threshold | None) -> None:
        if self.arrival.topic == REORDER_POINTS.name:
            self.state.reorder_point = threshold
        else:
            self.state.override = threshold

    def look(self) -> None:
        """See how it is now, and say what is new, unless it is a time to be silent."""
        state = self.state
        now = state.occurred_at
        force = self._in_force()
        state.severity, better_ms = judge(
            state.lows,
            state.highs,
            ladder(force.raise_at, force.clear_at),
            _millis(now),
            self.defaults.min_stay_seconds * 1000,
        )
        self.better_at = None if better_ms is None else _instant(better_ms)
        if state.snoozed_until is not None and state.snoozed_until <= now:
            state.snoozed_until = None
        if self._opens():
            state.since, state.resolved_level = self.at, None
        # A snooze holds bad news back, not the end of the alert.
        silent = (
            state.backfill
            or state.resolved_level is not None
            or (state.snoozed_until is not None and state.severity != "ok")
        )
        if state.severity != state.announced and not silent:
            self._say(self._what(), state.severity)

    def _opens(self) -> bool:
        """It stops being well, or gets worse after somebody closed it by hand."""
        state = self.state
        if state.resolved_level is None:
            return self.before == "ok" and state.severity != "ok"
        return (
            state.severity == "ok"
            or RANK[state.severity] > RANK[self.before]
            or (state.level is not None and state.level < state.resolved_level)
        )

    def _what(self) -> What:
        state = self.state
        if state.announced == "ok":
            return "raised"
        if state.severity == "ok":
            return "ended"
        return "worse" if RANK[state.severity] > RANK[state.announced] else "better"

    def answer(self, event: Answer) -> None:
        """Somebody says something about the alert, if it is still open."""
        state = self.state
        if state.announced == "ok":
            return
        if isinstance(event, AcknowledgeAlert):
            state.acknowledged_by, state.acknowledged_at = event.by, event.occurred_at
            self._say("acknowledged", state.announced, event.note)
        elif isinstance(event, ResolveAlert):
            state.resolved_level = None if state.severity == "ok" else state.level
            self._say("resolved", "ok", event.note)
        elif event.until > state.occurred_at:
            state.snoozed_until = event.until
            self._say("snoozed", state.announced, event.note)
        else:  # over already: an earlier snooze ends with it
            state.snoozed_until = None
            self.look()
        state.seen = [*state.seen, _digest(event.id)][-SEEN_MAX:]

    def end(self) -> None:
        """What follows from everything else."""
        state = self.state
        state.version += 1
        state.due_at = self._due_at()
        if state.severity == state.announced == "ok":
            state.since = None

    def _say(self, what: What, announced: Severity, note: str = "") -> None:
        state, arrival, force = self.state, self.arrival, self._in_force()
        state.version += 1
        if state.announced == "ok":
            state.alert_id = _alert_id(state)
            state.opened_at = arrival.recorded_at
        event = AlertChanged(
            id=f"{arrival.topic}/{arrival.partition}/{arrival.offset}/{what}",
            occurred_at=state.occurred_at,
            by=self.by,
            sku=state.sku,
            location_id=state.location_id,
            alert_id=state.alert_id or "",
            what=what,
            old_state=state.announced,
            state=announced,
            level=state.level or 0,
            raise_at=force.raise_at,
            clear_at=force.clear_at,
            threshold_source=force.source,
            since=state.since or self.at,
            why=note or _why(state, force),
            version=state.version,
            recorded_at=arrival.recorded_at,
        )
        self.out.append(Out(LOW_STOCK_ALERTS, event))
        state.announced = announced
        if announced == "ok":
            state.alert_id = state.opened_at = state.since = None
            state.acknowledged_by = state.acknowledged_at = state.snoozed_until = None

    def _in_force(self) -> _InForce:
        """An override that has not run out, else the reorder point, else the defaults."""
        state, defaults = self.state, self.defaults
        point, override = state.reorder_point, state.override
        if override is not None and (override.until is None or override.until > state.occurred_at):
            said = f"set by {override.by or 'hand'}"
            if override.until is not None:
                said += f" until {override.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            if point is not None:
                said += f"; the reorder point says {point.raise_at} and {point.clear_at}"
            return _InForce(override.raise_at, override.clear_at, "override", said)
        if point is not None:
            return _InForce(point.raise_at, point.clear_at, "reorder-point", "the reorder point")
        return _InForce(defaults.raise_at, defaults.clear_at, "default", "nobody set levels")

    def _due_at(self) -> datetime | None:
        """When time alone changes something; None: never."""
        state = self.state
        if state.backfill:
            return self.arrival.recorded_at + HISTORY_QUIET
        until = None if state.override is None else state.override.until
        if until is not None and until <= state.occurred_at:
            until = None
        times = [at for at in (until, state.snoozed_until, self.better_at) if at is not None]
        return min(times, default=None)


def _begin(
    key: str,
    old: AlertState | None,
    event: AlertInput | None,
    arrival: Arrival,
    defaults: Defaults,
) -> _Step:
    """A copy of the state, as late as the record says that it is."""
    # A clock that runs ahead must not hold alerts up until its time has come for everybody.
    at = arrival.recorded_at
    by = None
    if event is not None:
        at = min(at, event.occurred_at)
        by = None if isinstance(event, StockLevel) else event.by
    if isinstance(event, RecheckAlert) and event.due_at is not None:
        at = max(at, event.due_at)
    if old is None:
        sku, _, location_id = key.partition("|")
        old = AlertState(
            sku=sku, location_id=location_id, occurred_at=at, recorded_at=arrival.recorded_at
        )
    state = replace(
        old,
        occurred_at=max(at, old.occurred_at),
        recorded_at=arrival.recorded_at,
        cause={**old.cause, arrival.topic: arrival.offset},
    )
    return _Step(state, old.severity, at, by, arrival, defaults)


def _alert_id(state: AlertState) -> str:
    alert_id = f"{state.sku}/{state.location_id}/{state.version}"
    if len(alert_id) <= ID_LENGTH_MAX:
        return alert_id
    place = f"{state.sku}|{state.location_id}".encode()
    return f"{blake2b(place, digest_size=16).hexdigest()}/{state.version}"


def _why(state: AlertState, force: _InForce) -> str:
    names = ", ".join(
        f"{severity} at {raise_at}"
        for severity, raise_at, _ in reversed(ladder(force.raise_at, force.clear_at))
    )
    text = f"{_left(state.level)}: {names}, well again at {force.clear_at} ({force.said})"
    return text[:TEXT_LENGTH_MAX]


def _left(level: int | None) -> str:
    if level is None or level >= 0:
        return f"{level or 0} left"
    return f"{-level} more gone or promised than were there"


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _instant(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
