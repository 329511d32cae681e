"""The alert fold against plain models, and against every order in which topics can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events.alerts import Severity
from schemas.topics import THRESHOLD_OVERRIDES
from stream_processors.alerts.hysteresis import POINTS_MAX, Point, add_point, judge, ladder
from stream_processors.alerts.rules import RANK, Defaults
from tests.support.alerts import DEFAULTS, Record, Script, World

LEVELS = st.integers(-3, 30)
GAPS = st.integers(0, 700)
THRESHOLDS = st.integers(0, 20).flatmap(
    lambda raise_at: st.tuples(st.just(raise_at), st.integers(raise_at + 1, raise_at + 9))
)
LONG_AFTER = 1_000_000


# --- hysteresis -----------------------------------------------------------------------------------


def turning_points(history: Sequence[Point]) -> int:
    """How many points no later one reaches or undercuts, or reaches or exceeds: the more."""
    later = [[point[0] for point in history[at + 1 :]] for at in range(len(history))]
    lows = sum(all(p[0] < level for level in rest) for p, rest in zip(history, later, strict=True))
    highs = sum(all(p[0] > level for level in rest) for p, rest in zip(history, later, strict=True))
    return max(lows, highs)


def judged_whole(
    history: Sequence[Point], raise_at: int, clear_at: int, now: int, stay: int
) -> Severity:
    """The definition, read off the whole past."""
    for severity, raises, clears in ladder(raise_at, clear_at):
        lows = [point for point in history if point[0] <= raises]
        highs = [point for point in history if point[0] >= clears]
        if lows and (not highs or highs[-1][2] < lows[-1][2] or now < lows[-1][1] + stay):
            return severity
    return "ok"


@given(
    st.lists(st.tuples(LEVELS, GAPS), min_size=1, max_size=25),
    THRESHOLDS,
    st.integers(0, 1000),
    st.integers(0, 1000),
)
def test_the_reduced_past_answers_like_the_whole(
    steps: list[tuple[int, int]], thresholds: tuple[int, int], wait: int, stay: int
) -> None:
    history: list[Point] = []
    lows: list[Point] = []
    highs: list[Point] = []
    now = 0
    for version, (level, gap) in enumerate(steps, 1):
        now += gap
        history.append((level, now, version))
        assume(turning_points(history) <= POINTS_MAX)
        lows, highs = add_point(lows, highs, history[-1])
    severity, better_at = judge(lows, highs, ladder(*thresholds), now + wait, stay)
    assert severity == judged_whole(history, *thresholds, now + wait, stay)
    if better_at is not None:
        assert judged_whole(history, *thresholds, better_at - 1, stay) == severity
        assert RANK[judged_whole(history, *thresholds, better_at, stay)] < RANK[severity]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=200))
def test_the_past_stays_short_with_its_extremes_and_the_present(levels: list[int]) -> None:
    lows: list[Point] = []
    highs: list[Point] = []
    for version, level in enumerate(levels, 1):
        lows, highs = add_point(lows, highs, (level, version, version))
    assert max(len(lows), len(highs)) <= POINTS_MAX
    assert [point[0] for point in lows] == sorted({point[0] for point in lows})
    assert [point[0] for point in highs] == sorted({point[0] for point in highs}, reverse=True)
    assert lows[0][0] == min(levels)
    assert highs[0][0] == max(levels)
    assert lows[-1] == (levels[-1], len(levels), len(levels))


@given(st.lists(LEVELS, min_size=1, max_size=25), THRESHOLDS)
def test_with_fixed_thresholds_it_is_plain_hysteresis(
    levels: list[int], thresholds: tuple[int, int]
) -> None:
    """The model holds a switch a severity: on at the raise level, off at the clear level."""
    world = World(Defaults(*thresholds, min_stay_seconds=0))
    switches: dict[Severity, bool] = {step[0]: False for step in ladder(*thresholds)}
    history: list[Point] = []
    said: list[Severity] = ["ok"]
    for number, level in enumerate(levels):
        history.append((level, number, number))
        assume(turning_points(history) <= POINTS_MAX)
        for severity, raises, clears in ladder(*thresholds):
            if level <= raises:
                switches[severity] = True
            elif level >= clears:
                switches[severity] = False
        expected: Severity = next((severity for severity, on in switches.items() if on), "ok")
        if expected != said[-1]:
            said.append(expected)
        world.do(world.script.level, number, level)
        assert world.state.severity == world.state.announced == expected
    assert [change.state for change in world.said] == said[1:]


# --- trembling ------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(6, 12), GAPS), max_size=30))
def test_inside_the_band_it_is_one_alert(steps: list[tuple[int, int]]) -> None:
    world = World()
    world.do(world.script.level, 0, 9)
    second = 0
    for level, gap in steps:
        second += gap
        world.pass_time(second)
        world.do(world.script.level, second, level)
    world.pass_time(LONG_AFTER)
    assert world.whats == ["raised"]


@given(
    st.lists(st.tuples(st.integers(13, 100), st.integers(6, 10), st.integers(1, 299)), max_size=20)
)
def test_faster_than_the_least_stay_it_is_one_alert(steps: list[tuple[int, int, int]]) -> None:
    """However far it swings, as long as it is low again within 300 s."""
    world = World()
    world.do(world.script.level, 0, 9)
    second = 0
    for high, low, gap in steps:
        world.pass_time(second + gap // 2)
        world.do(world.script.level, second + gap // 2, high)
        second += gap
        world.pass_time(second)
        world.do(world.script.level, second, low)
    world.pass_time(LONG_AFTER)
    assert world.whats == ["raised"]


# --- the order between topics ---------------------------------------------------------------------


@st.composite
def topics_in_time(draw: st.DrawFn, commands: bool = True) -> list[Record]:
    """Records in the order of their recording: levels, thresholds, removals, what people say."""
    script = Script()
    second = 0
    kinds = ["level", "history", "reorder_point", "override", "removal"]
    kinds += ["acknowledge", "snooze"] if commands else []
    records = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=14))):
        second += draw(GAPS) + 1
        if kind == "level":
            records.append(script.level(second, draw(LEVELS)))
        elif kind == "history":
            records.append(script.level(second, draw(LEVELS), backfill=True))
        elif kind == "reorder_point":
            records.append(script.reorder_point(second, *draw(THRESHOLDS)))
        elif kind == "override":
            until = draw(st.none() | st.integers(second + 1, second + 3000))
            records.append(script.override(second, *draw(THRESHOLDS), until))
        elif kind == "removal":
            records.append(script.removal(second, THRESHOLD_OVERRIDES))
        elif kind == "acknowledge":
            records.append(script.acknowledge(second, f"a{number}"))
        else:
            records.append(script.snooze(second, second + draw(GAPS), f"s{number}"))
    return records


@st.composite
def interleaved(draw: st.DrawFn, records: Sequence[Record]) -> list[Record]:
    """The records in another order, in which those of one topic keep theirs."""
    order = draw(st.permutations([record.topic.name for record in records]))
    queues: dict[str, list[Record]] = {}
    for record in records:
        queues.setdefault(record.topic.name, []).append(record)
    return [queues[name].pop(0) for name in order]


def read(records: Sequence[Record], world: World | None = None) -> World:
    world = World() if world is None else world
    for record in records:
        world.apply(record)
    return world


def outcome(world: World) -> tuple[Any, ...]:
    if not world.table:
        return ()
    state = world.state
    return (
        state.severity,
        state.announced,
        state.level,
        state.level_version,
        state.lows,
        state.highs,
        state.reorder_point,
        state.override,
        state.due_at,
        state.snoozed_until,
        state.acknowledged_by,
    )


@given(st.data())
@settings(max_examples=300)
def test_any_order_between_topics_ends_alike(data: st.DataObject) -> None:
    """Severity, thresholds and what was announced, once time has passed."""
    records = data.draw(topics_in_time())
    worlds = [read(records), read(data.draw(interleaved(records)))]
    script = Script(offsets={record.topic.name: 99 for record in records})
    last = script.recheck(LONG_AFTER)
    for world in worlds:
        world.apply(last)
    first, second = map(outcome, worlds)
    # Some acknowledgements are read here before the alert was raised: those change nothing.
    assert first[:-1] == second[:-1]


@given(st.data())
@settings(max_examples=200)
def test_while_an_alert_is_open_answers_and_the_rest_may_change_places(
    data: st.DataObject,
) -> None:
    script = Script()
    opened = [script.level(0, 4)]
    second = 1
    records = []
    for number in range(data.draw(st.integers(1, 10))):
        second += data.draw(st.integers(1, 700))
        kind = data.draw(st.sampled_from(["level", "reorder_point", "acknowledge", "snooze"]))
        if kind == "level":
            records.append(script.level(second, data.draw(st.integers(-3, 9))))
        elif kind == "reorder_point":
            raise_at = data.draw(st.integers(9, 20))
            records.append(script.reorder_point(second, raise_at, raise_at + 3))
        elif kind == "acknowledge":
            records.append(script.acknowledge(second, f"a{number}", by=f"p{number}"))
        else:
            records.append(script.snooze(second, second + data.draw(GAPS), f"s{number}"))
    worlds = [
        read(records, read(opened)),
        read(data.draw(interleaved(records)), read(opened)),
    ]
    last = script.recheck(second + data.draw(st.integers(0, 700)))
    for world in worlds:
        world.apply(last)
    first, other = map(outcome, worlds)
    snoozed = worlds[0].state.snoozed_until is not None
    # In a snooze what was said last depends on what was read before it.
    assert (first[0], *first[2:]) == (other[0], *other[2:])
    assert snoozed or first[1] == other[1]


# --- what is said ---------------------------------------------------------------------------------


@given(topics_in_time())
def test_levels_read_again_say_nothing(records: list[Record]) -> None:
    world = read(records)
    before = dict(world.table)
    said = len(world.said)
    for record in records:
        if record.topic.name == "stock-levels":
            world.apply(record)
    assert len(world.said) == said
    assert world.table == before


@given(topics_in_time())
def test_what_is_said_is_a_chain_with_rising_versions(records: list[Record]) -> None:
    """Each change begins where the last one ended; ids are unique; one alert id a stretch."""
    world = read(records)
    if world.table:
        world.pass_time(LONG_AFTER)
    state: Severity = "ok"
    version = 0
    alert_id = None
    ids = set()
    for change in world.said:
        assert change.old_state == state
        assert change.version > version
        assert change.id not in ids
        if state == "ok":
            assert change.what == "raised"
            assert change.alert_id != alert_id
        else:
            assert change.alert_id == alert_id
        assert (change.what in ("acknowledged", "snoozed")) == (change.state == state)
        state, version, alert_id = change.state, change.version, change.alert_id
        ids.add(change.id)
    if world.table:
        assert world.state.announced == state
        assert world.state.version > version
        assert (world.state.alert_id is None) == (state == "ok")


@given(topics_in_time())
def test_every_record_that_changes_the_state_raises_its_version(records: list[Record]) -> None:
    world = World()
    for record in records:
        before = world.table.get("TEA-250|cairo-1")
        world.apply(record)
        after = world.table.get("TEA-250|cairo-1")
        if after is not before:
            assert after is not None
            assert after.version > (0 if before is None else before.version)


@given(st.lists(LEVELS, min_size=1, max_size=20), st.booleans())
def test_a_history_is_silent_and_one_recheck_says_the_difference(
    levels: list[int], open_before: bool
) -> None:
    world = World(DEFAULTS)
    if open_before:
        world.do(world.script.level, 0, 8)
    told = len(world.said)
    for number, level in enumerate(levels, 1):
        assert world.do(world.script.level, 400 * number, level, backfill=True) == []
    assert len(world.said) == told
    before = world.state.announced
    world.do(world.script.recheck, LONG_AFTER)
    assert world.state.announced == world.state.severity
    assert len(world.said) - told == (before != world.state.announced)
    assert world.do(world.script.recheck, LONG_AFTER) == []
