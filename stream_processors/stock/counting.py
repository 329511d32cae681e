"""Counts: `n were there at a time` becomes a change of what the books said of that time."""

from __future__ import annotations

from dataclasses import replace

from schemas.arrivals import Refused
from schemas.events.stock import CountStock
from stream_processors.stock.recent import WINDOW_MS, millis, on_hand_at
from stream_processors.stock.step import Step


def count(step: Step, event: CountStock) -> None:
    """Set right what is there, or only note a count that is older than the newest.

    Raises Refused (`count_too_old`, `count_in_future`) where the level at that time isn't known.
    """
    at, place = millis(event.occurred_at), event.location_id
    if at > millis(step.arrival.recorded_at) + WINDOW_MS:
        raise Refused(
            "count_in_future",
            f"{event.sku} at {place}: the count's time lies after it was recorded, "
            "and what moves until then would be taken as counted; send it with the right time",
            "occurred_at",
        )
    old = step.level(place)
    if old.counted_at is not None and at < millis(old.counted_at):
        step.move(place, "count", flags=("late",))
        return
    if at < old.recent_since:
        raise Refused(
            "count_too_old",
            f"{event.sku} at {place}: too much has moved since that count; send an adjustment of "
            "the counted units minus the level at that time, which the warehouse knows",
            "occurred_at",
        )
    step.move(place, "count", on_hand=event.counted - on_hand_at(old, at))
    level = step.level(place)
    after = [entry for entry in level.recent if entry[0] > at]
    step.put(replace(level, counted_at=event.occurred_at, recent=after))
