"""When a worker is left alone, and what a person is told of why a part ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.embedded.kafka import escaped
from inventory.embedded.logs import last_words
from inventory.embedded.parts import Exits


def test_three_exits_at_the_same_positions_are_one_too_many() -> None:
    exits = Exits()
    at = {"orders/0": 7}
    assert [exits.add(at, ran_well=False) for _ in range(3)] == [False, False, True]


def test_getting_further_starts_the_count_anew() -> None:
    exits = Exits()
    halts = [exits.add({"orders/0": at}, ran_well=False) for at in (7, 7, 8, 8, 9, 9)]
    assert halts == [False] * 6


def test_an_exit_before_any_position_counts_at_the_last_known_ones() -> None:
    exits = Exits()
    halts = [exits.add(at, ran_well=False) for at in ({"orders/0": 7}, {}, {})]
    assert halts == [False, False, True]
    assert exits.at == {"orders/0": 7}


def test_a_worker_that_never_gets_anywhere_is_left_alone_too() -> None:
    exits = Exits()
    assert [exits.add({}, ran_well=False) for _ in range(3)] == [False, False, True]


def test_an_exit_after_idle_time_is_another_story() -> None:
    exits = Exits()
    at = {"orders/0": 7}
    assert [exits.add(at, ran_well=well) for well in (False, False, True, False)] == [False] * 4
    assert exits.count == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("FATAL: something broke.", "FATAL: something broke"),
        ('{"event": "fold_failed", "error": "no space"}', "fold_failed: no space"),
        (
            '{"event": "failed", "exception": "Trace\\n  x\\nValueError: bad"}',
            "failed: ValueError: bad",
        ),
        ('{"event": "stopped"}', "stopped"),
        ('{"half', '{"half'),
        ("[1]", "[1]"),
    ],
)
def test_the_last_words_of_a_log_are_a_sentence(line: str, said: str) -> None:
    assert last_words(["before", line]) == said


def test_of_an_error_with_a_remedy_the_error_is_said() -> None:
    lines = ["before", "inventory: Topic x does not exist.", "Run 'inventory migrate'."]
    assert last_words(lines) == "Topic x does not exist"


def test_no_last_words_where_the_log_is_empty() -> None:
    assert last_words([]) == ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/srv/inventory data", "/srv/inventory data"),
        ("/srv/Köln", "/srv/K\\u00f6ln"),
        ("/srv/📦", "/srv/\\ud83d\\udce6"),
        ("/srv/a\\b", "/srv/a\\\\b"),
    ],
)
def test_paths_are_written_as_java_reads_them(path: str, value: str) -> None:
    assert escaped(Path(path)) == value
