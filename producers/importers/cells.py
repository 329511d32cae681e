"""What stands in a cell: how it is cleaned, what it must be, and what it means.

A `Kind` is one idea for both: `read` turns the cleaned text into a value, and a text that it
refuses (ValueError) is a fault. Cleaning rules have names, because the report counts them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any, get_args

from schemas.events.base import QUANTITY_MAX, canonical_sku

TEXT_MAX = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EXAMPLE = datetime(2011, 1, 31, 8, 26, tzinfo=UTC)
ID_MAX = 128
Clean = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A stated way to clean: a text that the rule changes counts under its name."""

    name: str
    clean: Clean


@dataclass(frozen=True, slots=True)
class Kind:
    """name: what a good cell is, as a person would say it. rules: applied in order, first."""

    name: str
    read: Callable[[str], Any]
    rules: tuple[Rule, ...] = ()
    numeric: bool = False

    def cleaned_by(self, *rules: Rule) -> Kind:
        """The same kind with more rules of cleaning, applied last."""
        return Kind(self.name, self.read, (*self.rules, *rules), self.numeric)


def one_spaced(text: str) -> str:
    """No space around, one between words; spaces of every sort (no-break too) are spaces."""
    return " ".join(text.split())


def _sku_spelling(text: str) -> str:
    try:
        return canonical_sku(text)
    except ValueError:
        return text  # `read` says what is wrong with it


def _without_zero_decimals(text: str) -> str:
    """Spreadsheets turn whole numbers into decimals: 17850.0 is 17850."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def decimal_point(text: str) -> str:
    """1.234,56 as files with semicolons write it becomes 1234.56."""
    return text.replace(".", "").replace(",", ".") if "," in text else text


SPACES = Rule("spaces_removed", one_spaced)
DECIMAL_COMMA = Rule("decimal_comma_read", decimal_point)
_ZERO_DECIMALS = Rule("zero_decimals_removed", _without_zero_decimals)
_SPELLING = Rule("sku_spelling_unified", _sku_spelling)


def _text(text: str, length_max: int, forbidden: str = "") -> str:
    if len(text) > length_max:
        raise ValueError(f"has {len(text)} characters, {length_max} are allowed")
    if _CONTROL.search(text):
        raise ValueError("holds a control character")
    for char in forbidden:
        if char in text:
            raise ValueError(f"holds {char!r}")
    return text


@lru_cache(maxsize=100_000)
def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", text):
        raise ValueError("is no whole number")
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"lies outside {least:,} to {most:,}")
    return number


@lru_cache(maxsize=100_000)
def _decimal(text: str, least: Decimal, most: Decimal, places: int) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("is no number") from None
    if not number.is_finite() or not re.fullmatch(r"[-+0-9.eE]+", text):
        raise ValueError("is no number")
    if not least <= number <= most:
        raise ValueError(f"lies outside {least:,} to {most:,}")
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places:
        raise ValueError(f"has more than {places} decimals")
    return number


def _choice(text: str, choices: tuple[str, ...]) -> str:
    if text.casefold() not in choices:
        raise ValueError(f"is none of {', '.join(choices)}")
    return text.casefold()


def _yes_no(text: str) -> bool:
    folded = text.casefold()
    if folded in ("yes", "y", "true", "1"):
        return True
    if folded in ("no", "n", "false", "0"):
        return False
    raise ValueError("is neither yes nor no")


@lru_cache(maxsize=100_000)
def _time(text: str, formats: tuple[str, ...]) -> datetime:
    for form in formats:
        try:
            at = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if not 1970 <= at.year < 2200:
            raise ValueError("lies outside the years 1970 to 2199")
        return at
    shown = " or ".join(_EXAMPLE.strftime(form) for form in formats)
    raise ValueError(f"is no date written like {shown}")


def text(length_max: int = TEXT_MAX) -> Kind:
    """One line for people to read."""
    return Kind("text", partial(_text, length_max=length_max), (SPACES,))


def identifier(length_max: int = ID_MAX) -> Kind:
    """An id of somebody else's: kept as it is, but for spaces and a spreadsheet's `.0`."""
    read = partial(_text, length_max=length_max, forbidden="|")
    return Kind("identifier", read, (SPACES, _ZERO_DECIMALS))


def sku() -> Kind:
    """A SKU, brought into its one spelling."""
    return Kind("SKU", canonical_sku, (SPACES, _SPELLING))


def whole(least: int = 0, most: int = QUANTITY_MAX) -> Kind:
    """A whole number."""
    read = partial(_whole, least=least, most=most)
    return Kind("whole number", read, (SPACES, _ZERO_DECIMALS), numeric=True)


def change() -> Kind:
    """A whole number other than 0."""

    def read(text: str) -> int:
        number = _whole(text, -QUANTITY_MAX, QUANTITY_MAX)
        if number == 0:
            raise ValueError("is 0, which changes nothing")
        return number

    return Kind("change", read, (SPACES, _ZERO_DECIMALS), numeric=True)


def decimal(least: int = 0, most: int = 10**9, places: int = 4) -> Kind:
    """A decimal number with at most so many places."""
    read = partial(_decimal, least=Decimal(least), most=Decimal(most), places=places)
    return Kind("number", read, (SPACES,), numeric=True)


def choice(literal: Any) -> Kind:
    """One of the words of a Literal, in any case."""
    return Kind("word", partial(_choice, choices=get_args(literal)), (SPACES,))


def yes_no() -> Kind:
    """yes or no, true or false, 1 or 0."""
    return Kind("yes or no", _yes_no, (SPACES,))


def time(*formats: str) -> Kind:
    """A date, or date and time, in one of the formats (of strptime). Without a zone: UTC."""
    return Kind("date", partial(_time, formats=formats), (SPACES,))


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError("is no currency code like EUR")
    return text


def currency() -> Kind:
    """An ISO 4217 code."""
    return Kind("currency", _currency, (SPACES, Rule("currency_upper_case", str.upper)))


def pattern(expression: str, otherwise: str) -> Kind:
    """An identifier of exactly this form; `otherwise` says what is wrong with others."""

    def read(text: str) -> str:
        if not re.fullmatch(expression, text):
            raise ValueError(otherwise)
        return text

    return Kind("identifier", read, (SPACES, _ZERO_DECIMALS))
