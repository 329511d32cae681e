"""Answers for people, scripts and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from inventory.commands.printing import counted, plain, print_csv, print_json, print_table

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_csv_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    row = [1234567, Decimal("9758809.9940"), Decimal("1E+3"), 9758809.994, None, True, AT, 'a,"b"']
    print_csv(["n", "d", "e", "f", "none", "yes", "at", "text"], [row])
    header, line, end = capsys.readouterr().out.split("\n")
    assert header == "n,d,e,f,none,yes,at,text"
    assert line == (
        '1234567,9758809.9940,1000,9758809.994,,true,2026-03-01T10:00:00+00:00,"a,""b"""'
    )
    assert end == ""
    assert next(csv.reader(io.StringIO(line)))[-1] == 'a,"b"'


def test_json_keeps_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"amount": Decimal("0.10"), "at": AT, "none": None}])
    assert json.loads(capsys.readouterr().out) == [
        {"amount": "0.10", "at": "2026-03-01T10:00:00Z", "none": None}
    ]


def test_tables_show_markup_and_long_values_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["sku", "n"], [("[red]x[/red]", 5), ("[/", 1234567), ("L" * 100, None)])
    out = capsys.readouterr().out
    for text in ("[red]x[/red]", "[/", "1234567", "L" * 100):
        assert text in out


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["sku"], [], empty="Nothing is low.")
    assert capsys.readouterr().out == "Nothing is low.\n"


def test_no_text_steers_the_terminal() -> None:
    assert plain("a\x1b[2Jb\nc\x00") == "a\\x1b[2Jb\nc\\x00"
    assert plain("Grüner Tee ☕") == "Grüner Tee ☕"


def test_counted() -> None:
    assert [counted(1, "row"), counted(1200, "row")] == ["1 row", "1,200 rows"]
