"""What moved lately at a place, so that its level at a time some minutes ago can be told.

The level at a time is today's without the movements after it. Times are in epoch milliseconds.
"""

from __future__ import annotations

from bisect import bisect
from datetime import UTC, datetime, timedelta

from schemas.events.stock import StockLevel

WINDOW_MS = 15 * 60 * 1000
"""How far before its newest movement a level can be told, in event time."""
ENTRIES_MAX = 32
"""Movements kept, so that the records of busy places stay small."""

Recent = list[tuple[int, int]]
"""(time, on-hand delta) by time, one entry a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def remember(recent: Recent, since: int, at: int, delta: int) -> tuple[Recent, int]:
    """`recent` and `recent_since` after one more movement; `recent` itself stays as it is.

    What gets too old or too much is dropped and `since` rises to the newest time dropped: a
    level can be told exactly for `since` and every time after it.
    """
    if at <= since:
        return recent, since
    if not recent or at > recent[-1][0]:
        recent = [*recent, (at, delta)]
    else:
        place = bisect(recent, at, key=_time)
        before, after = recent[:place], recent[place:]
        if before and before[-1][0] == at:
            delta += before.pop()[1]
        recent = [*before, (at, delta), *after]
    oldest, drop = recent[-1][0] - WINDOW_MS, max(0, len(recent) - ENTRIES_MAX)
    while recent[drop][0] < oldest:
        drop += 1
    if drop:
        return recent[drop:], recent[drop - 1][0]
    return recent, since


def _time(entry: tuple[int, int]) -> int:
    return entry[0]


def on_hand_at(level: StockLevel, at: int) -> int:
    """Units there at a time from `recent_since` on."""
    return level.on_hand - sum(delta for moved, delta in level.recent if moved > at)
