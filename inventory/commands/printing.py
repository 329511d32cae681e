"""How commands answer: a table for people, JSON for scripts, CSV for spreadsheets.

Answers go to stdout; everything said beside them goes to stderr, so pipes carry data only.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]

# A pipe has no width of its own; rich would cut tables at 80 columns.
PIPE_WIDTH = 240
_encoder = msgspec.json.Encoder(decimal_format="string")


def say(text: str) -> None:
    """A sentence of the answer, as it is."""
    print(plain(text), flush=True)


def note(text: str) -> None:
    """A remark beside the answer."""
    print(plain(text), file=sys.stderr, flush=True)


def print_json(value: Any, *, pretty: bool = True) -> None:
    """Any value or event as JSON: money as strings, times in ISO 8601."""
    encoded = _encoder.encode(value)
    if pretty:
        encoded = msgspec.json.format(encoded, indent=2)
    print(encoded.decode(), flush=True)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A header and the rows: plain values, nothing for null."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([value_text(value) for value in row] for row in rows)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing found."
) -> None:
    """A table with numbers to the right; `empty` is said where there is no row."""
    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        numbers = all(_is_number(row[at]) for row in listed)
        table.add_column(Text(column), justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(plain(value_text(value))) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    console.print(table)


def value_text(value: Any) -> str:
    """One value as plain text: no quotes, no thousands separators, no exponents."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case list() | tuple() | Mapping():
            return _encoder.encode(value).decode()
        case bytes():
            return value.decode(errors="backslashreplace")
    return str(value)


def moment(at: datetime | None) -> str:
    """An instant for people: UTC, to the second."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def plain(text: str) -> str:
    """Text that cannot steer a terminal: control characters are written out."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def counted(number: int, one: str, many: str = "") -> str:
    """`1 unit`, `2 units`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and value is not True)
