"""The timetable of the timers, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producers.agenda import Agenda
from producers.timers import LEDGERS, SAID, expire, recheck
from runtime.codec import decode, encode
from schemas.topics import ALERT_COMMANDS, ORDERS, key_of

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def agenda() -> Agenda:
    return Agenda(repeat_after=MINUTE)


def test_nothing_is_due_before_its_time(agenda: Agenda) -> None:
    agenda.put("a", at(10))
    assert agenda.next_at() == at(10)
    assert agenda.take(at(9.999), 10) == []
    assert agenda.take(at(10), 10) == [("a", at(10))]


def test_the_longest_due_come_first_and_at_most_as_many_as_asked_for(agenda: Agenda) -> None:
    for second in (30, 10, 20):
        agenda.put(f"k{second}", at(second))
    assert [key for key, _ in agenda.take(at(60), 2)] == ["k10", "k20"]
    assert [key for key, _ in agenda.take(at(60), 2)] == ["k30"]
    assert agenda.take(at(60), 2) == []


def test_what_was_taken_comes_again_until_the_ledger_says_otherwise(agenda: Agenda) -> None:
    agenda.put("a", at(10))
    agenda.take(at(11), 10)
    agenda.put("a", at(10))  # its state changed, its due_at did not
    assert agenda.take(at(70), 10) == []
    assert agenda.next_at() == at(71)
    assert agenda.take(at(71), 10) == [("a", at(10))]
    agenda.put("a", None)
    assert agenda.next_at() is None
    assert agenda.take(at(1000), 10) == []


def test_a_new_time_replaces_the_old(agenda: Agenda) -> None:
    agenda.put("a", at(10))
    agenda.put("a", at(50))
    assert agenda.take(at(49), 10) == []
    assert agenda.take(at(50), 10) == [("a", at(50))]
    agenda.put("a", at(40))
    assert agenda.take(at(50), 10) == [("a", at(40))]


def test_the_same_time_set_anew_is_due_anew_and_once(agenda: Agenda) -> None:
    agenda.put("a", at(10))
    agenda.take(at(10), 10)
    agenda.put("a", None)
    agenda.put("a", at(10))
    assert agenda.take(at(11), 10) == [("a", at(10))]
    assert agenda.take(at(70.5), 10) == []
    assert agenda.take(at(71), 10) == [("a", at(10))]


def test_a_time_that_moves_a_million_times_takes_no_room(agenda: Agenda) -> None:
    for number in range(100_000):
        agenda.put(f"k{number % 10}", at(number))
    assert len(agenda) == 10
    assert len(agenda._heap) < 2_000
    assert len(agenda.take(at(200_000), 1_000)) == 10


def test_a_big_backlog_comes_in_batches(agenda: Agenda) -> None:
    for number in range(100_000):
        agenda.put(f"k{number}", at(number % 977))
    taken = []
    while batch := agenda.take(at(1000), 1_000):
        taken += batch
    assert len(taken) == 100_000
    assert len({key for key, _ in taken}) == 100_000
    assert [due for _, due in taken] == sorted(due for _, due in taken)


def test_an_order_that_waited_is_told_so() -> None:
    event = expire("web-1", at(10), at(11))
    assert (event.due_at, event.occurred_at) == (at(10), at(11))
    assert event.id == "web-1/expire/2026-03-01T09:00:10+00:00"
    assert decode(ORDERS, key_of(ORDERS, event).encode(), encode(event)) == event


def test_an_alert_that_waited_is_looked_at_again() -> None:
    event = recheck("TEA-250|cairo-1", at(10), at(11))
    assert (event.sku, event.location_id, event.due_at) == ("TEA-250", "cairo-1", at(10))
    assert decode(ALERT_COMMANDS, b"TEA-250|cairo-1", encode(event)) == event
    assert recheck("TEA-250|cairo-1", at(10), at(500)).id == event.id


def test_the_longest_names_fit_into_an_id() -> None:
    event = recheck("S" * 64 + "|" + "p" * 64, at(0.123456), at(1))
    assert decode(ALERT_COMMANDS, key_of(ALERT_COMMANDS, event).encode(), encode(event)) == event
    order = expire("o" * 128, at(0.123456), at(1))
    assert decode(ORDERS, key_of(ORDERS, order).encode(), encode(order)) == order


def test_each_ledger_has_something_to_be_said() -> None:
    assert set(SAID) == {ledger.name for ledger in LEDGERS}
