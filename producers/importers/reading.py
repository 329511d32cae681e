"""Reads delimited text as it comes: gzip or plain, any of the usual encodings and delimiters.

Nothing is loaded whole: memory does not grow with the file.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

from charset_normalizer import from_bytes

from producers.importers.source import Column, Source, Variant
from runtime.errors import InventoryError

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
ODD_BYTES_MAX = 1 << 18
# With fewer letters beyond ASCII than this a code page is a guess; then it is the likeliest.
TELLING_BYTES_MIN = 8
CELL_CHARS_MAX = 1 << 20
DELIMITERS = ",;\t|"
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WIDE = ("utf-16", "utf-32")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
# The code pages that shop software still writes, the likeliest first: bytes alone cannot tell
# all of them apart.
_CODE_PAGES = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1256"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first pass over the bytes tells.

    digest: SHA-256 of the unpacked content.
    mixed: not UTF-8 throughout, so cells may hold bytes that the encoding does not know.
    """

    path: Path
    digest: str
    encoding: str
    mixed: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is written, and where our columns stand in it (None: not there)."""

    survey: Survey
    delimiter: str
    header: list[str]
    variant: Variant
    positions: dict[str, int | None]


class RawRow(NamedTuple):
    """A record of the file. row_no counts as spreadsheets do: the header is row 1.

    problem: why it cannot be read as a row, else empty.
    """

    row_no: int
    cells: list[str]
    problem: str = ""


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes; raises InventoryError where they cannot be read."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic.startswith(b"PK\x03\x04"):
            raise InventoryError(
                f"{path} is a zip archive or an Excel workbook.",
                remedy="Unpack it, or save the sheet as CSV.",
            )
        with gzip.open(path, "rb") if magic[:2] == b"\x1f\x8b" else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InventoryError(
            f"{path} is damaged: {error}", remedy="Fetch or pack the file again."
        ) from error
    except OSError as error:
        raise InventoryError(
            f"{path} cannot be read: {error.strerror}.", remedy="Check the path and your rights."
        ) from error


def survey_file(path: Path) -> Survey:
    """One pass over the bytes: their digest and their encoding. Raises where it is empty."""
    digest = hashlib.sha256()
    odd, valid, first = b"", 0, b""
    with open_bytes(path) as file:
        while lines := file.readlines(BLOCK_BYTES):
            block = b"".join(lines)
            first = first or block[:4]
            digest.update(block)
            if block.isascii():
                continue
            try:
                block.decode()
                valid += 1
            except UnicodeDecodeError:
                sound, bad = _sort_lines(lines)
                valid += sound
                odd = (odd + bad)[:ODD_BYTES_MAX]
    if not first.strip():
        raise InventoryError(f"{path} is empty.", remedy="Give a file with a header and rows.")
    encoding = _encoding(first, odd, valid)
    return Survey(path, digest.hexdigest(), encoding, bool(odd) and encoding not in _WIDE)


def _sort_lines(lines: list[bytes]) -> tuple[int, bytes]:
    """How many lines are UTF-8 beyond ASCII, and those that are not UTF-8."""
    valid, odd = 0, []
    for line in lines:
        if line.isascii():
            continue
        try:
            line.decode()
            valid += 1
        except UnicodeDecodeError:
            odd.append(line)
    return valid, b"".join(odd)


def _encoding(first: bytes, odd: bytes, valid: int) -> str:
    for mark, encoding in _BOMS:
        if first.startswith(mark):
            return encoding
    # Lines of both sorts: the file was glued together. UTF-8 is certain where it fits, a code
    # page never is, so the others are left to people.
    if not odd or valid:
        return "utf-8"
    if sum(byte > 127 for byte in odd) < TELLING_BYTES_MIN:
        return _CODE_PAGES[0]
    matches = from_bytes(odd, cp_isolation=_CODE_PAGES, enable_fallback=False)
    best = matches.best()
    if best is None:
        return _CODE_PAGES[0]
    as_good = {
        name
        for match in matches
        if match.chaos <= best.chaos
        for name in match.could_be_from_charset
    }
    return next(name for name in _CODE_PAGES if name in as_good)


def find_layout(survey: Survey, source: Source) -> Layout:
    """The delimiter and variant under which the header has every required column.

    Raises InventoryError that names what is missing, or a column that is there twice.
    """
    head = _head_rows(survey)
    readings = [
        (delimiter, _cells(head, delimiter), variant)
        for delimiter in DELIMITERS
        for variant in source.variants
    ]
    fits = [reading for reading in readings if not _missing(reading[1], reading[2])]
    if not fits:
        raise _unknown_header(survey, source, readings)
    delimiter, header, variant = max(fits, key=lambda reading: _known(reading[1], reading[2]))
    positions = {
        column.name: _position(survey, column, header, variant) for column in variant.columns
    }
    return Layout(survey, delimiter, header, variant, positions)


def header_name(cell: str) -> str:
    """A header as aliases are written: `PO / SO #` and `po_so` are one."""
    return re.sub(r"[\W_]+", "_", cell.casefold()).strip("_")


def _head_rows(survey: Survey) -> str:
    with open_bytes(survey.path) as file:
        head = file.read(HEAD_BYTES)
    text = io.TextIOWrapper(io.BytesIO(head), survey.encoding, errors="ignore", newline="")
    return text.read().lstrip("\r\n")


def _cells(head: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(head), delimiter=delimiter), [])
    except csv.Error:
        return []


def _missing(header: list[str], variant: Variant) -> list[str]:
    names = {header_name(cell) for cell in header}
    missing = [c.name for c in variant.columns if c.required and names.isdisjoint(c.known_as)]
    return missing + [mark for mark in variant.marks if mark not in names]


def _known(header: list[str], variant: Variant) -> tuple[int, int]:
    names = {header_name(cell) for cell in header}
    return len(variant.marks), sum(not names.isdisjoint(c.known_as) for c in variant.columns)


def _position(survey: Survey, column: Column, header: list[str], variant: Variant) -> int | None:
    """The column's place; of several aliases that are there, the first one counts."""
    names = [header_name(cell) for cell in header]
    for alias in column.known_as:
        if names.count(alias) > 1:
            raise InventoryError(
                f"{survey.path} has more than one column {header[names.index(alias)]!r}, "
                f"and {variant.name} needs it.",
                remedy="Remove or rename the columns that are not meant.",
            )
        if alias in names:
            return names.index(alias)
    return None


def _unknown_header(
    survey: Survey, source: Source, readings: list[tuple[str, list[str], Variant]]
) -> InventoryError:
    _, header, variant = min(readings, key=lambda r: (len(_missing(r[1], r[2])), -len(r[1])))
    lacking = ", ".join(_missing(header, variant))
    found = ", ".join(cell.strip()[:40] for cell in header[:40])
    needs = "; ".join(
        " or ".join(column.known_as[:4]) for column in variant.columns if column.required
    )
    return InventoryError(
        f"{survey.path} is no {source.name} file: it has no column {lacking}. "
        f"Its first row reads: {found[:300]}",
        remedy=f"The first row must name the columns, separated by comma, semicolon, tab or |: "
        f"{needs}.",
    )


def read_rows(layout: Layout) -> Iterator[RawRow]:
    """Every record after the header; blank lines are none."""
    survey, width, found = layout.survey, len(layout.header), False
    csv.field_size_limit(CELL_CHARS_MAX)
    with open_bytes(survey.path) as file:
        text = io.TextIOWrapper(file, survey.encoding, errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=layout.delimiter)
        for row_no in count(1):
            problem = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells, problem = [], f"unreadable: {error}"
            except UnicodeError as error:
                raise InventoryError(
                    f"{survey.path} is not {survey.encoding} from row {row_no} on.",
                    remedy="Save it as UTF-8.",
                ) from error
            if not found:
                found = bool(cells)  # the header; blank lines may stand above it
                continue
            if not problem and len(cells) != width:
                if not cells:
                    continue
                problem = f"ragged: {len(cells)} cells, the header has {width}"
            if survey.mixed and not problem and _undecoded(cells):
                problem = f"encoding: not {survey.encoding} like the rest of the file"
            yield RawRow(row_no, cells, problem)


def _undecoded(cells: Iterable[str]) -> bool:
    return _ESCAPED_BYTE.search("".join(cells)) is not None


def raw_line(cells: list[str], delimiter: str) -> str:
    """A record as one line again, for people; undecodable bytes are written out."""
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(cells)
    return printable(line.getvalue())


def printable(text: str) -> str:
    r"""Undecodable bytes written out as `\xe9`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
