"""The alert fold: levels, thresholds and people's commands in; alert changes out."""

from __future__ import annotations

from typing import Any

from runtime.settings import Settings
from schemas.arrivals import Arrival
from schemas.topics import (
    ALERT_COMMANDS,
    ALERT_STATES,
    REORDER_POINTS,
    STOCK_LEVELS,
    THRESHOLD_OVERRIDES,
)
from stream_processors.alerts.rules import Defaults, decide
from stream_processors.engine.app import run_fold
from stream_processors.engine.fold import FoldSpec
from stream_processors.engine.outcome import Get, Outcome


def spec(settings: Settings) -> FoldSpec:
    """The fold, with the thresholds that count where nobody set any."""
    defaults = Defaults(
        raise_at=settings.default_raise_at,
        clear_at=settings.default_clear_at,
        min_stay_seconds=settings.alert_min_stay_seconds,
    )

    def rule(get: Get, event: Any, arrival: Arrival) -> Outcome:
        return decide(get, event, arrival, defaults)

    return FoldSpec(
        name="alerts",
        inputs=(STOCK_LEVELS, REORDER_POINTS, THRESHOLD_OVERRIDES, ALERT_COMMANDS),
        ledger=ALERT_STATES,
        rule=rule,
    )


def main(settings: Settings) -> None:
    run_fold(spec(settings), settings)
