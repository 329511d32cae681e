"""From raw rows to clean, valid ones: a chunk at a time, every fault said at once (pandera)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from producers.importers.cells import DECIMAL_COMMA, Rule
from producers.importers.reading import Layout, RawRow, printable, raw_line
from producers.importers.source import Column, objects, per_value

MISSING = "is missing"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a cell, or with the whole row (no column)."""

    column: str
    reason: str
    value: str = ""

    def __str__(self) -> str:
        shown = f" ({self.value!r})" if self.value else ""
        return f"{self.column} {self.reason}{shown}".strip()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is put aside. cells: what stood under our columns, before cleaning."""

    row_no: int
    faults: tuple[Fault, ...]
    cells: dict[str, str]
    raw: str

    @property
    def reason(self) -> str:
        """What the report counts it under: its first fault."""
        return f"{self.faults[0].column} {self.faults[0].reason}".strip()


@dataclass(slots=True)
class Checked:
    """A chunk after cleaning and checking. rows: valid, our columns, indexed by row number."""

    rows: pd.DataFrame
    bad: list[BadRow]
    cleaned: Counter[str] = field(default_factory=Counter)


Faults = dict[int, list[Fault]]
"""What is wrong, by row number, in the order of the columns."""


class Checker:
    """Cleans and checks the chunks of one file, or corrected rows of the quarantine."""

    def __init__(self, columns: Sequence[Column], *, decimal_comma: bool = False) -> None:
        self._columns = columns
        self._decimal_comma = decimal_comma
        self._schema = pa.DataFrameSchema(
            {
                column.name: pa.Column(checks=[pa.Check(_good(column), error=column.kind.name)])
                for column in columns
            }
        )

    def check(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Faults, Counter[str]]:
        """The cleaned rows, their faults, and how many rows each rule changed."""
        changed: dict[str, Any] = {}
        clean = {}
        for column in self._columns:
            codes, texts = pd.factorize(frame[column.name].to_numpy(dtype=object))
            results = [_cleaned(text, self._rules_of(column)) for text in texts]
            clean[column.name] = objects([text for text, _ in results])[codes]
            for name in {name for _, names in results for name in names}:
                hit = np.array([name in names for _, names in results])[codes]
                changed[name] = changed.get(name, False) | hit
        rows = pd.DataFrame(clean, index=frame.index, dtype=object)
        cleaned = Counter({name: int(hit.sum()) for name, hit in changed.items()})
        return rows, self._faults(rows), cleaned

    def _rules_of(self, column: Column) -> tuple[Rule, ...]:
        kind = column.kind
        return (*kind.rules, DECIMAL_COMMA) if self._decimal_comma and kind.numeric else kind.rules

    def _faults(self, clean: pd.DataFrame) -> Faults:
        faults: Faults = {}
        try:
            self._schema.validate(clean, lazy=True)
        except pa.errors.SchemaErrors as errors:
            by_name = {column.name: column for column in self._columns}
            cases = errors.failure_cases
            for row_no, name in zip(cases["index"], cases["column"], strict=True):
                value = str(clean.at[row_no, name])
                fault = Fault(name, fault_of(by_name[name], value), value)
                faults.setdefault(int(row_no), []).append(fault)
        order = [column.name for column in self._columns]
        for found in faults.values():
            found.sort(key=lambda fault: order.index(fault.column))
        return faults


def _cleaned(text: str, rules: Sequence[Rule]) -> tuple[str, list[str]]:
    """The text after all rules, and the names of those that changed it."""
    names = []
    for rule in rules:
        after = rule.clean(text)
        if after != text:
            names.append(rule.name)
        text = after
    return text, names


def fault_of(column: Column, text: str) -> str:
    """What is wrong with a cleaned cell; empty where nothing is."""
    if not text:
        return MISSING if column.filled else ""
    try:
        column.kind.read(text)
    except ValueError as error:
        return str(error)
    return ""


def _good(column: Column) -> Any:
    def check(cells: pd.Series[str]) -> pd.Series[bool]:
        return per_value(cells, lambda text: not fault_of(column, text)).astype(bool)

    return check


class FileChecker:
    """`Checker` for the raw rows of a file."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._checker = Checker(layout.variant.columns, decimal_comma=layout.delimiter == ";")

    def check(self, raw_rows: Sequence[RawRow]) -> Checked:
        sound = [row for row in raw_rows if not row.problem]
        bad = [self._broken(row) for row in raw_rows if row.problem]
        rows, faults, cleaned = self._checker.check(self._frame(sound))
        if faults:
            by_number = {row.row_no: row for row in sound}
            bad += [
                BadRow(
                    number,
                    tuple(found),
                    self._named(by_number[number].cells),
                    self._raw(by_number[number]),
                )
                for number, found in faults.items()
            ]
            rows = rows.drop(index=list(faults))
        return Checked(rows, bad, cleaned)

    def _frame(self, rows: Sequence[RawRow]) -> pd.DataFrame:
        cells = list(zip(*(row.cells for row in rows), strict=True))
        nothing = [""] * len(rows)
        return pd.DataFrame(
            {
                name: pd.Series(nothing if at is None or not rows else cells[at], dtype=object)
                for name, at in self._layout.positions.items()
            }
        ).set_index(pd.Index([row.row_no for row in rows], dtype="int64"))

    def _named(self, cells: Sequence[str]) -> dict[str, str]:
        return {
            name: printable(cells[at]) if at is not None and at < len(cells) else ""
            for name, at in self._layout.positions.items()
        }

    def _raw(self, row: RawRow) -> str:
        return raw_line(row.cells, self._layout.delimiter)

    def _broken(self, row: RawRow) -> BadRow:
        fault = Fault("", row.problem)
        return BadRow(row.row_no, (fault,), self._named(row.cells), self._raw(row))
