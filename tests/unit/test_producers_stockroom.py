"""Commands of the stockroom and of the ops desk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producers import alert_desk, stockroom
from runtime.codec import decode, encode
from schemas.events.base import Event
from schemas.topics import ALERT_COMMANDS, STOCK_COMMANDS, THRESHOLD_OVERRIDES, Topic, key_of

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
SLIP = stockroom.Slip("s1", AT, "ali", "DN-1", "weekly")
DESK = alert_desk.Desk("d1", AT, "ali", "TEA", "cairo-1")


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        (STOCK_COMMANDS, stockroom.receive(SLIP, 1, "cairo-1", "TEA", 3, "t1")),
        (STOCK_COMMANDS, stockroom.transfer(SLIP, 1, "cairo-1", "giza-2", "TEA", 3)),
        (STOCK_COMMANDS, stockroom.adjust(SLIP, 1, "cairo-1", "TEA", -3)),
        (STOCK_COMMANDS, stockroom.count(SLIP, 1, "cairo-1", "TEA", 0)),
        (ALERT_COMMANDS, alert_desk.acknowledge(DESK, "on order")),
        (ALERT_COMMANDS, alert_desk.snooze(DESK, AT + timedelta(hours=1), "")),
        (ALERT_COMMANDS, alert_desk.resolve(DESK, "")),
        (THRESHOLD_OVERRIDES, alert_desk.override(DESK, 5, 8, None, "season")),
    ],
)
def test_the_folds_can_read_it(topic: Topic, event: Event) -> None:
    assert decode(topic, key_of(topic, event).encode(), encode(event)) == event
    assert (event.occurred_at, event.by) == (AT, "ali")


def test_lines_of_one_slip_have_ids_of_their_own_and_a_slip_again_has_the_same() -> None:
    lines = [stockroom.receive(SLIP, n, "cairo-1", "TEA", 3) for n in (1, 2, 1)]
    assert [line.id for line in lines] == ["s1:1", "s1:2", "s1:1"]


def test_a_transfer_is_named_by_its_slip() -> None:
    assert stockroom.transfer(SLIP, 1, "a", "b", "TEA", 1).transfer_id == "s1"


def test_a_late_count_is_the_difference_to_the_books_of_then() -> None:
    late = stockroom.late_count(SLIP, 1, "cairo-1", "TEA", counted=9, level_then=12)
    assert late is not None
    assert (late.delta, late.occurred_at) == (-3, AT)
    assert late.reason == "counted 9, books said 12: weekly"


def test_a_late_count_that_agrees_changes_nothing() -> None:
    assert stockroom.late_count(SLIP, 1, "cairo-1", "TEA", counted=9, level_then=9) is None


def test_an_override_without_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="clear_at"):
        alert_desk.override(DESK, 5, 5, None, "")
