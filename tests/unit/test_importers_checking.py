"""Headers, encodings, cleaning and faults, without files."""

from __future__ import annotations

import pandas as pd
import pytest

from producers.importers.checking import Checker
from producers.importers.reading import _encoding, header_name
from producers.importers.stock import COLUMNS


def frame(*rows: tuple[str, str, str]) -> pd.DataFrame:
    cells = pd.DataFrame(rows, columns=["sku", "location_id", "quantity"], dtype=object)
    return cells.assign(document="").set_index(pd.Index(range(2, 2 + len(rows))))


def test_every_fault_of_every_row_is_said_at_once() -> None:
    _, faults, _ = Checker(COLUMNS).check(
        frame(("tea", "a", "3"), ("", "a|b", "-1"), ("mug", "a", "many"))
    )
    assert {number: [str(fault) for fault in found] for number, found in faults.items()} == {
        3: [
            "sku is missing",
            "location_id holds '|' ('a|b')",
            "quantity lies outside 0 to 1,000,000,000 ('-1')",
        ],
        4: ["quantity is no whole number ('many')"],
    }


def test_cleaning_counts_a_row_once_a_rule() -> None:
    rows, faults, cleaned = Checker(COLUMNS).check(
        frame((" tea ", " a ", "3.0"), ("TEA", "a", "3"))
    )
    assert not faults
    assert rows["sku"].tolist() == ["TEA", "TEA"]
    assert rows["quantity"].tolist() == ["3", "3"]
    assert cleaned == {
        "spaces_removed": 1,
        "sku_spelling_unified": 1,
        "zero_decimals_removed": 1,
    }


@pytest.mark.parametrize(
    ("cell", "name"),
    [("PO / SO #", "po_so"), ("Order ID", "order_id"), ("customer_ID", "customer_id"), (" ", "")],
)
def test_headers_are_compared_by_their_words(cell: str, name: str) -> None:
    assert header_name(cell) == name


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("A1;Café;Montréal", "cp1252"),
        ("A1;Grüner Tee, süß", "cp1252"),
        ("A1;5 ¾” × 11”, £5", "cp1252"),
        ("A1;Żółta herbata świąteczna, gęś, łąka", "cp1250"),
        ("A1;Чай зеленый крупный листовой", "cp1251"),
    ],
)
def test_code_pages_are_told_apart(text: str, encoding: str) -> None:
    odd = text.encode(encoding)
    assert _encoding(odd[:4], odd, 0) == encoding


def test_lines_in_utf_8_make_the_file_utf_8() -> None:
    assert _encoding(b"sku;", "Café".encode("cp1252"), 1) == "utf-8"
