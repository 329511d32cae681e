"""When an alert begins and when it ends: two levels with a gap, and a least stay.

An alert is on from the last time that the level was at or below `raise_at` until it is at or
above `clear_at` and the least stay has passed since. Said so, it is a function of the level's
past, the thresholds and the time, so a threshold that changes is applied to the past as well:
whether it was read before or after a level makes no difference.

Of the past only turning points are kept: a low that a later point reaches or undercuts can't be
the last one at or below any threshold, nor a high that a later one reaches or exceeds the last
one at or above any.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events.alerts import Severity

Point = tuple[int, int, int]
"""A level, when it was reached (epoch ms), and its version, which orders points."""

POINTS_MAX = 8


def add_point(
    lows: Sequence[Point], highs: Sequence[Point], point: Point
) -> tuple[list[Point], list[Point]]:
    """The reduced past after one more point; see `AlertState.lows`.

    Where more than 8 turning points remain, one from the middle is forgotten, whose absence
    changes least; the extreme and the newest stay.
    """
    lows, highs = list(lows), list(highs)
    while lows and lows[-1][0] >= point[0]:
        lows.pop()
    while highs and highs[-1][0] <= point[0]:
        highs.pop()
    # Without a low between them, an earlier and higher point answers for this one.
    if not highs or (lows and lows[-1][2] > highs[-1][2]):
        highs.append(point)
    lows.append(point)
    return _thinned(lows, highs), _thinned(highs, lows)


def _thinned(points: list[Point], others: Sequence[Point]) -> list[Point]:
    if len(points) <= POINTS_MAX:
        return points

    def loss(at: int) -> tuple[bool, int]:
        before, after = points[at - 1], points[at + 1]
        divided = any(before[2] < other[2] < points[at][2] for other in others)
        return divided, abs(after[0] - before[0])

    drop = min(range(1, len(points) - 1), key=loss)
    return points[:drop] + points[drop + 1 :]


def ladder(raise_at: int, clear_at: int) -> list[tuple[Severity, int, int]]:
    """The severities with the levels that raise and clear each, the worst first.

    critical: at or below half of raise_at; it clears after the same gap as `low`, at raise_at
    at the latest. out: nothing is left; it clears with the first unit.
    """
    half = raise_at // 2
    steps: list[tuple[Severity, int, int]] = [("out", 0, 1)]
    if half > 0:
        steps.append(("critical", half, min(half + clear_at - raise_at, raise_at)))
    steps.append(("low", raise_at, clear_at))
    return steps


def judge(
    lows: Sequence[Point],
    highs: Sequence[Point],
    steps: Sequence[tuple[Severity, int, int]],
    now_ms: int,
    stay_ms: int,
) -> tuple[Severity, int | None]:
    """The worst severity that is on, and when its least stay ends (epoch ms).

    The second is None where waiting alone does not help.
    """
    for severity, raise_at, clear_at in steps:
        low = next((point for point in reversed(lows) if point[0] <= raise_at), None)
        if low is None:
            continue
        high = next((point for point in reversed(highs) if point[0] >= clear_at), None)
        if high is None or high[2] < low[2]:
            return severity, None
        if now_ms < low[1] + stay_ms:
            return severity, low[1] + stay_ms
    return "ok", None
