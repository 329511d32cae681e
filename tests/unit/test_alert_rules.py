"""What the alert fold promises, a sentence a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runtime.codec import encode
from schemas.events.alerts import AlertState
from schemas.events.stock import SeenCommands, SkuState
from schemas.topics import ALERT_COMMANDS, REORDER_POINTS, STOCK_LEVELS, THRESHOLD_OVERRIDES
from stream_processors.alerts.hysteresis import POINTS_MAX
from stream_processors.alerts.rules import HISTORY_QUIET, SEEN_MAX, Defaults
from tests.support.alerts import PLACE, SKU, Record, World, at


@pytest.fixture
def world() -> World:
    return World()


def low(world: World) -> World:
    """An alert is open: 12 left at 0 s, 8 left at 10 s."""
    world.do(world.script.level, 0, 12)
    world.do(world.script.level, 10, 8)
    assert world.whats == ["raised"]
    return world


# --- severities -----------------------------------------------------------------------------------


def test_twelve_received_and_four_sold_is_one_low_alert(world: World) -> None:
    assert world.do(world.script.level, 0, 12) == []
    assert world.do(world.script.level, 1, 8) == ["raised"]
    (alert,) = world.said
    assert (alert.old_state, alert.state, alert.level) == ("ok", "low", 8)
    assert (alert.raise_at, alert.clear_at, alert.threshold_source) == (10, 13, "default")
    assert alert.since == at(1)
    assert (
        alert.why
        == "8 left: low at 10, critical at 5, out at 0, well again at 13 (nobody set levels)"
    )


def test_what_is_reserved_is_not_left(world: World) -> None:
    assert world.do(world.script.level, 0, 8, reserved=20) == ["raised"]
    assert world.said[0].level == 8


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (11, "ok"),
        (10, "low"),
        (6, "low"),
        (5, "critical"),
        (1, "critical"),
        (0, "out"),
        (-4, "out"),
    ],
)
def test_each_severity_begins_at_its_level(world: World, level: int, severity: str) -> None:
    world.do(world.script.level, 0, level)
    assert (world.state.severity, world.state.announced) == (severity, severity)


def test_with_one_unit_as_threshold_there_is_no_critical(world: World) -> None:
    world.do(world.script.reorder_point, 0, 1, 2)
    world.do(world.script.level, 1, 1)
    assert world.state.severity == "low"


def test_worsening_is_said_at_once(world: World) -> None:
    low(world)
    assert world.do(world.script.level, 11, 4) == ["worse"]
    assert world.do(world.script.level, 12, 0) == ["worse"]
    assert [(c.old_state, c.state) for c in world.said[1:]] == [
        ("low", "critical"),
        ("critical", "out"),
    ]


@pytest.mark.parametrize(
    ("worst", "holds", "clears", "then"),
    [(0, 0, 1, "critical"), (5, 7, 8, "low"), (10, 12, 13, "ok")],
)
def test_each_severity_ends_at_its_clear_level(
    worst: int, holds: int, clears: int, then: str
) -> None:
    world = World(Defaults(raise_at=10, clear_at=13, min_stay_seconds=0))
    world.do(world.script.level, 0, worst)
    before = world.state.severity
    world.do(world.script.level, 10, holds)
    assert world.state.severity == before
    world.do(world.script.level, 20, clears)
    assert world.state.severity == then


# --- time -----------------------------------------------------------------------------------------


def test_getting_better_needs_the_least_stay(world: World) -> None:
    low(world)
    assert world.do(world.script.level, 309, 50) == []
    assert world.state.due_at == at(310)
    assert world.pass_time(310) == ["ended"]
    assert world.said[-1].occurred_at == at(310)


def test_after_the_least_stay_a_delivery_ends_it_at_once(world: World) -> None:
    low(world)
    assert world.do(world.script.level, 310, 50) == ["ended"]
    assert world.state.due_at is None


def test_trembling_faster_than_the_least_stay_is_one_alert(world: World) -> None:
    low(world)
    for second in range(20, 2000, 200):
        world.do(world.script.level, second, 20)
        world.do(world.script.level, second + 100, 8)
        assert world.pass_time(second + 100) == []
    assert world.whats == ["raised"]


def test_a_recheck_means_nothing_unless_its_due_at_is_the_states(world: World) -> None:
    low(world)
    world.do(world.script.level, 20, 50)
    before = world.state
    assert world.do(world.script.recheck, 400, at(311)) == []
    assert world.state is before
    assert world.do(world.script.recheck, 401, at(310)) == ["ended"]
    assert world.do(world.script.recheck, 402, at(310)) == []


def test_a_clock_that_runs_ahead_does_not_stop_time(world: World) -> None:
    record = world.script.level(10, 8)
    ahead = replace(record.body, occurred_at=at(10_000_000))
    world.apply(Record(record.topic, ahead, record.arrival))
    assert world.state.occurred_at == at(10)
    assert world.do(world.script.level, 310, 50) == ["ended"]


def test_a_late_event_does_not_turn_time_back(world: World) -> None:
    low(world)
    world.do(world.script.level, 400, 9)
    record = world.script.level(500, 8)
    late = replace(record.body, occurred_at=at(20))
    world.apply(Record(record.topic, late, record.arrival))
    assert world.state.occurred_at == at(400)


def test_a_due_recheck_counts_even_if_the_brokers_clock_is_behind(world: World) -> None:
    low(world)
    world.do(world.script.level, 20, 50)
    assert world.do(world.script.recheck, 309, at(310)) == ["ended"]


# --- thresholds -----------------------------------------------------------------------------------


def test_an_override_wins_over_the_reorder_point_and_says_both(world: World) -> None:
    world.do(world.script.reorder_point, 0, 20, 25)
    world.do(world.script.override, 1, 4, 6, until=1000)
    assert world.do(world.script.level, 2, 15) == []
    assert world.do(world.script.level, 3, 4) == ["raised"]
    assert world.said[0].threshold_source == "override"
    assert world.said[0].why == (
        "4 left: low at 4, critical at 2, out at 0, well again at 6 "
        "(set by ann until 2026-03-01 09:16 UTC; the reorder point says 20 and 25)"
    )


def test_when_the_override_runs_out_the_reorder_point_counts(world: World) -> None:
    world.do(world.script.reorder_point, 0, 20, 25)
    world.do(world.script.override, 1, 4, 6, until=1000)
    world.do(world.script.level, 2, 15)
    assert world.state.due_at == at(1000)
    assert world.pass_time(1000) == ["raised"]
    assert (world.said[0].threshold_source, world.said[0].raise_at) == ("reorder-point", 20)


def test_what_is_removed_counts_no_more(world: World) -> None:
    world.do(world.script.reorder_point, 0, 20, 25)
    world.do(world.script.override, 1, 4, 6)
    world.do(world.script.level, 2, 15)
    assert world.do(world.script.removal, 3, THRESHOLD_OVERRIDES) == ["raised"]
    assert world.do(world.script.removal, 400, REORDER_POINTS) == ["ended"]
    before = world.state
    assert world.do(world.script.removal, 401, REORDER_POINTS) == []
    assert world.state is before


def test_a_higher_threshold_looks_back_at_the_past(world: World) -> None:
    """8, then 12: with 10 and 13 it never was well since; with 5 and 7 it always was."""
    world.do(world.script.reorder_point, 0, 5, 7)
    world.do(world.script.level, 10, 8)
    world.do(world.script.level, 2000, 12)
    assert world.whats == []
    assert world.do(world.script.reorder_point, 2001, 10, 13) == ["raised"]


# --- people ---------------------------------------------------------------------------------------


def test_acknowledging_names_who_takes_care(world: World) -> None:
    low(world)
    assert world.do(world.script.acknowledge, 20) == ["acknowledged"]
    assert (world.state.acknowledged_by, world.state.acknowledged_at) == ("ann", at(20))
    change = world.said[-1]
    assert (change.by, change.old_state, change.state) == ("ann", "low", "low")
    assert change.alert_id == world.said[0].alert_id


def test_acknowledging_nothing_changes_nothing(world: World) -> None:
    assert world.do(world.script.acknowledge, 0) == []
    assert world.table == {}
    world.do(world.script.level, 1, 50)
    before = world.state
    assert world.do(world.script.acknowledge, 2) == []
    assert world.state is before


def test_the_same_command_twice_counts_once(world: World) -> None:
    low(world)
    assert world.do(world.script.acknowledge, 20, "x", by="ann") == ["acknowledged"]
    assert world.do(world.script.acknowledge, 21, "x", by="bob") == []
    assert world.do(world.script.acknowledge, 22, "y", by="bob") == ["acknowledged"]
    for number in range(30):
        world.do(world.script.acknowledge, 30 + number, f"n{number}")
    assert len(world.state.seen) == SEEN_MAX


def test_an_answer_given_before_the_alert_was_raised_is_about_an_earlier_one(world: World) -> None:
    """The fold was down: the commands of that time are read after the levels."""
    low(world)
    late = world.script.acknowledge(400)
    assert world.do(world.script.level, 500, 50) == ["ended"]
    assert world.do(world.script.level, 900, 8) == ["raised"]
    assert world.apply(late) == []
    assert world.state.acknowledged_by is None


def test_snoozed_alerts_are_silent_and_speak_at_the_end(world: World) -> None:
    low(world)
    assert world.do(world.script.snooze, 20, until=1000) == ["snoozed"]
    assert world.state.due_at == at(1000)
    assert world.do(world.script.level, 30, 0) == []
    assert (world.state.severity, world.state.announced) == ("out", "low")
    assert world.pass_time(1000) == ["worse"]
    assert world.state.snoozed_until is None


def test_a_snooze_that_is_over_already_says_nothing(world: World) -> None:
    low(world)
    assert world.do(world.script.snooze, 20, until=20) == []
    assert world.state.snoozed_until is None


def test_a_snooze_until_now_ends_an_earlier_one(world: World) -> None:
    low(world)
    world.do(world.script.snooze, 20, until=1000)
    world.do(world.script.level, 30, 0)
    assert world.do(world.script.snooze, 40, until=40, command_id="s2") == ["worse"]


def test_well_again_ends_the_alert_with_its_snooze_and_acknowledgement(world: World) -> None:
    low(world)
    world.do(world.script.acknowledge, 20)
    world.do(world.script.snooze, 21, until=100_000)
    assert world.do(world.script.level, 400, 50) == ["ended"]
    state = world.state
    assert (state.announced, state.alert_id, state.since) == ("ok", None, None)
    assert (state.acknowledged_by, state.acknowledged_at, state.snoozed_until) == (None, None, None)
    assert world.do(world.script.level, 401, 8) == ["raised"]
    assert world.said[-1].alert_id != world.said[0].alert_id


def test_resolved_by_hand_it_opens_again_at_a_lower_level(world: World) -> None:
    low(world)
    assert world.do(world.script.resolve, 20) == ["resolved"]
    assert (world.state.severity, world.state.announced) == ("low", "ok")
    assert world.do(world.script.level, 21, 9) == []
    assert world.do(world.script.level, 22, 8) == []
    assert world.do(world.script.level, 23, 7) == ["raised"]
    assert world.said[-1].since == at(23)
    assert world.said[-1].alert_id != world.said[0].alert_id


def test_resolved_by_hand_it_opens_again_at_a_worse_severity(world: World) -> None:
    low(world)
    world.do(world.script.resolve, 20)
    assert world.do(world.script.reorder_point, 21, 16, 20) == ["raised"]
    assert world.said[-1].state == "critical"


def test_resolved_and_well_again_it_opens_like_any_other(world: World) -> None:
    low(world)
    world.do(world.script.resolve, 20)
    assert world.do(world.script.level, 500, 50) == []
    assert world.do(world.script.level, 600, 9) == ["raised"]


# --- history --------------------------------------------------------------------------------------


def test_history_is_silent_until_a_live_level(world: World) -> None:
    for second, level in enumerate((50, 8, 50, 0, 9)):
        assert world.do(world.script.level, 1000 * second, level, backfill=True) == []
    assert world.state.announced == "ok"
    assert world.do(world.script.level, 9000, 9) == ["raised"]
    assert world.said[0].since == at(3000)


def test_a_shortage_that_came_and_went_in_history_leaves_no_trace(world: World) -> None:
    world.do(world.script.level, 0, 8, backfill=True)
    world.do(world.script.level, 1000, 50, backfill=True)
    assert (world.state.severity, world.state.since) == ("ok", None)


def test_history_is_silent_until_a_recheck(world: World) -> None:
    world.do(world.script.level, 0, 4, backfill=True)
    assert world.do(world.script.recheck, 10) == ["raised"]
    assert world.said[0].state == "critical"
    assert world.do(world.script.recheck, 11) == []


def test_history_that_nobody_ends_is_over_after_a_quiet_while(world: World) -> None:
    """The importer's recheck overtook the levels, or it was killed before it sent one."""
    world.do(world.script.recheck, 0)
    world.do(world.script.level, 1, 4, backfill=True)
    assert world.state.due_at == at(1) + HISTORY_QUIET
    world.do(world.script.level, 5, 3, backfill=True)
    assert world.state.due_at == at(5) + HISTORY_QUIET
    assert world.pass_time(66) == ["raised"]


def test_history_on_top_of_an_open_alert_ends_it_with_one_word(world: World) -> None:
    low(world)
    world.do(world.script.level, 20, 4, backfill=True)
    world.do(world.script.level, 30, 50, backfill=True)
    assert world.do(world.script.recheck, 400) == ["ended"]
    assert (world.said[-1].old_state, world.said[-1].state) == ("low", "ok")


# --- the state ------------------------------------------------------------------------------------


def test_a_level_read_before_is_ignored(world: World) -> None:
    low(world)
    again = world.script.level(30, 4)
    stale = replace(again.body, version=world.state.level_version)
    before = world.state
    assert world.apply(Record(again.topic, stale, again.arrival)) == []
    assert world.state is before


def test_a_level_is_written_even_when_nothing_is_said(world: World) -> None:
    low(world)
    before = world.state
    assert world.do(world.script.level, 20, 9) == []
    after = world.state
    assert (after.level, after.level_version, after.version) == (9, 3, before.version + 1)
    assert after.cause == {STOCK_LEVELS.name: 2}
    assert (after.occurred_at, after.recorded_at) == (at(20), at(20))


def test_states_of_skus_and_removed_levels_are_not_levels(world: World) -> None:
    sku = world.script.record(STOCK_LEVELS, SkuState(sku=SKU), 0)
    assert world.apply(sku) == []
    seen = SeenCommands(sku=SKU, slot=0, ids="")
    assert world.apply(world.script.record(STOCK_LEVELS, seen, 0)) == []
    assert world.do(world.script.removal, 1, STOCK_LEVELS) == []
    assert world.table == {}


def test_the_cause_names_the_newest_offset_of_each_topic(world: World) -> None:
    low(world)
    world.do(world.script.reorder_point, 20, 9, 13)
    world.do(world.script.acknowledge, 21)
    assert world.state.cause == {
        STOCK_LEVELS.name: 1,
        REORDER_POINTS.name: 0,
        ALERT_COMMANDS.name: 0,
    }


def test_a_busy_state_stays_small(world: World) -> None:
    low(world)
    for second in range(20, 200):
        world.do(world.script.level, second, 5 + second * 37 % 90)
    assert len(encode(world.state)) <= 900
    quiet = AlertState(sku=SKU, location_id=PLACE, occurred_at=at(0), recorded_at=at(0))
    assert len(encode(quiet)) <= 500


def test_a_long_climb_does_not_forget_that_it_was_never_well(world: World) -> None:
    """Nine lows are one too many; the 1, after the 30, is what keeps the alert on."""
    world.do(world.script.reorder_point, 0, 2, 25)
    for number, level in enumerate((0, 30, 1, 3, 5, 7, 9, 11, 13, 15)):
        world.do(world.script.level, 1000 * number, level)
    assert len(world.state.lows) == POINTS_MAX
    assert world.state.severity == "low"


def test_alert_ids_fit_whatever_the_names_are() -> None:
    world = World()
    record = world.script.level(0, 4)
    sku, place = "S" * 64, "p" * 64
    long_names = replace(record.body, sku=sku, location_id=place)
    (raised,) = world.apply(Record(record.topic, long_names, record.arrival))
    assert len(raised.alert_id) <= 128


def test_defaults_without_a_gap_are_refused() -> None:
    with pytest.raises(ValueError, match="clear_at lies above raise_at"):
        Defaults(raise_at=10, clear_at=10, min_stay_seconds=0)


def test_the_least_stay_counts_from_the_last_time_it_was_low(world: World) -> None:
    low(world)
    world.do(world.script.level, 200, 10)
    world.do(world.script.level, 320, 50)
    assert world.state.due_at == at(200) + timedelta(seconds=300)
