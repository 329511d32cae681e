"""What a cell may hold, and how it is cleaned."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import pytest

from producers.importers import cells
from producers.importers.cells import Kind


def cleaned(kind: Kind, text: str) -> str:
    for rule in kind.rules:
        text = rule.clean(text)
    return text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (cells.text(), "  WHITE  LANTERN\xa0BIG ", "WHITE LANTERN BIG"),
        (cells.identifier(), "17850.0", "17850"),
        (cells.identifier(), "A-1.0b", "A-1.0b"),
        (cells.sku(), " 85123a", "85123A"),
        (cells.whole(), "12.0", 12),
        (cells.change(), "-3", -3),
        (cells.decimal(), "2.55", Decimal("2.55")),
        (cells.choice(Literal["low", "high"]), "High", "high"),
        (cells.yes_no(), "No", False),
        (cells.currency(), "eur", "EUR"),
        (cells.time("%d-%m-%Y"), "05-02-2013", datetime(2013, 2, 5, tzinfo=UTC)),
        (cells.pattern(r"\d{8}", "is no code"), "12345678", "12345678"),
    ],
)
def test_a_good_cell_is_cleaned_and_read(kind: Kind, text: str, value: Any) -> None:
    assert kind.read(cleaned(kind, text)) == value


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        (cells.text(3), "four", "4 characters"),
        (cells.text(), "a\x00b", "control character"),
        (cells.identifier(), "a|b", "holds '|'"),
        (cells.sku(), "x" * 65, "1 to 64 characters"),
        (cells.whole(), "2.5", "no whole number"),
        (cells.whole(), "-1", "outside 0"),
        (cells.whole(), "1_000", "no whole number"),
        (cells.whole(), "9999999999", "outside"),
        (cells.change(), "0", "changes nothing"),
        (cells.decimal(), "NaN", "no number"),
        (cells.decimal(), "1e400", "outside"),
        (cells.decimal(), "0.12345", "more than 4 decimals"),
        (cells.decimal(), "1,5", "no number"),
        (cells.choice(Literal["low", "high"]), "urgent", "none of low, high"),
        (cells.yes_no(), "maybe", "neither"),
        (cells.currency(), "EURO", "no currency"),
        (cells.time("%d-%m-%Y"), "02/05/2013", "written like 31-01-2011"),
        (cells.time("%d-%m-%Y"), "31-02-2013", "no date"),
        (cells.time("%d-%m-%Y"), "01-01-0001", "outside the years"),
        (cells.pattern(r"\d{8}", "is no code"), "1234", "is no code"),
    ],
)
def test_a_bad_cell_is_refused_with_a_reason(kind: Kind, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        kind.read(cleaned(kind, text))


def test_decimal_commas_are_read_only_where_there_is_one() -> None:
    assert cells.decimal_point("1.234,56") == "1234.56"
    assert cells.decimal_point("20,13") == "20.13"
    assert cells.decimal_point("1234.56") == "1234.56"
