"""Low-stock alerts: thresholds and commands in, transitions out, and the ledger between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import Event, Id, Level, LocationId, Sku, Text, Time

Severity = Literal["ok", "low", "critical", "out"]
ThresholdSource = Literal["override", "reorder-point", "default"]
What = Literal["raised", "worse", "better", "ended", "acknowledged", "snoozed", "resolved"]


@dataclass(slots=True, kw_only=True)
class PlaceEvent(Event):
    """Of one SKU at one place: the key is `sku|location`."""

    sku: Sku
    location_id: LocationId


# --- topics `reorder-points` and `threshold-overrides` (compact) ----------------------------------


def _check_levels(raise_at: int, clear_at: int) -> None:
    if clear_at <= raise_at:
        raise ValueError("clear_at lies above raise_at: the gap keeps alerts from trembling")


@dataclass(slots=True, kw_only=True)
class ReorderPoint(PlaceEvent):
    """At or below `raise_at` order `order_quantity`; the alert ends at or above `clear_at`."""

    type: Literal["reorder_point"] = "reorder_point"
    raise_at: Level
    clear_at: Level
    order_quantity: Level = 0
    why: Text = ""

    def __post_init__(self) -> None:
        _check_levels(self.raise_at, self.clear_at)


@dataclass(slots=True, kw_only=True)
class ThresholdOverride(PlaceEvent):
    """The same, set by a person; it wins until `until`."""

    type: Literal["threshold_override"] = "threshold_override"
    raise_at: Level
    clear_at: Level
    until: Time | None = None
    why: Text = ""

    def __post_init__(self) -> None:
        _check_levels(self.raise_at, self.clear_at)


# --- topic `alert-commands` -----------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class AcknowledgeAlert(PlaceEvent):
    """Somebody has seen it and takes care."""

    type: Literal["acknowledge"] = "acknowledge"
    note: Text = ""


@dataclass(slots=True, kw_only=True)
class SnoozeAlert(PlaceEvent):
    """Say nothing until then; what is still wrong is said at its end."""

    type: Literal["snooze"] = "snooze"
    until: Time
    note: Text = ""


@dataclass(slots=True, kw_only=True)
class ResolveAlert(PlaceEvent):
    """Close it by hand; it opens again at the next change for the worse."""

    type: Literal["resolve"] = "resolve"
    note: Text = ""


@dataclass(slots=True, kw_only=True)
class RecheckAlert(PlaceEvent):
    """Time has passed (`due_at` as in the state), or a history ended (no due_at): look again."""

    type: Literal["recheck"] = "recheck"
    due_at: Time | None = None


AlertCommand = Annotated[
    AcknowledgeAlert | SnoozeAlert | ResolveAlert | RecheckAlert, Field(discriminator="type")
]


# --- topic `low-stock-alerts`: every transition ---------------------------------------------------


@dataclass(slots=True, kw_only=True)
class AlertChanged(PlaceEvent):
    """An alert was raised, got worse or better, was acknowledged, snoozed or ended.

    alert_id: the same from raise to end. since: when it stopped being well.
    level: on hand less reserved, when decided. raise_at, clear_at: the thresholds that counted.
    version: rises with each change of a (SKU, place) and of its alert's state.
    """

    type: Literal["alert_changed"] = "alert_changed"
    alert_id: Id
    what: What
    old_state: Severity
    state: Severity
    level: int
    raise_at: int
    clear_at: int
    threshold_source: ThresholdSource
    since: Time
    why: Text
    version: int
    recorded_at: Time


# --- topic `alert-states`: the ledger of the alert fold -------------------------------------------


@dataclass(slots=True, kw_only=True)
class Threshold:
    raise_at: int
    clear_at: int
    until: Time | None = None
    by: Text | None = None


@dataclass(slots=True, kw_only=True)
class AlertState:
    """Key `sku|location`: what the alert fold knows.

    announced: what subscribers were told last; `severity` may be ahead of it in a history, or
        while snoozed or resolved by hand.
    since: when it stopped being well. opened_at: when the record that raised the alert was
        recorded; what people said before that was about an earlier one.
    resolved_level: the level at which somebody closed the alert by hand; None again once it is
        well or got worse.
    backfill: the last level was history; nothing is said until a live one or a recheck.
    lows: [level, epoch ms, level version] of each point that no later one reaches or undercuts,
        oldest first; the last is the present. highs: likewise, points that no later one reaches
        or exceeds, if a low lies between. Enough to answer "which was crossed last" for any
        thresholds, so the outcome does not depend on whether a level or a threshold came first.
    seen: digests of the newest answers of people, so that one sent twice counts once.
    due_at: when `timers` shall ask for a recheck.
    """

    type: Literal["alert"] = "alert"
    sku: Sku
    location_id: LocationId
    severity: Severity = "ok"
    announced: Severity = "ok"
    version: int = 0
    level: int | None = None
    level_version: int = 0
    occurred_at: Time
    recorded_at: Time
    alert_id: Id | None = None
    since: Time | None = None
    opened_at: Time | None = None
    resolved_level: int | None = None
    acknowledged_by: Text | None = None
    acknowledged_at: Time | None = None
    snoozed_until: Time | None = None
    reorder_point: Threshold | None = None
    override: Threshold | None = None
    due_at: Time | None = None
    backfill: bool = False
    lows: list[tuple[int, int, int]] = field(default_factory=list)
    highs: list[tuple[int, int, int]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    cause: dict[str, int] = field(default_factory=dict)
