"""Whatever rows come, in whatever order: nothing is lost, nothing is there twice."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.importers import online_retail
from producers.importers.source import Ordinals, Placed
from producers.importers.spool import Spool
from tests.support.importers import NOW, RETAIL_HEADER, dry_run, row, write_lines

SKUS = st.sampled_from(["MUG", "CUP", "TEA-250", "POST"])
QUANTITIES = st.integers(-5, 5).filter(bool)


@st.composite
def invoice_rows(draw: st.DrawFn, invoice: str = "536365") -> list[Any]:
    """Sales and adjustments on one invoice, some of them identical."""
    lines = draw(st.lists(st.tuples(SKUS, QUANTITIES, st.booleans()), min_size=1, max_size=12))
    return [
        row(
            row_no=number,
            invoice=invoice,
            sku=sku,
            quantity=str(quantity),
            unit_price="2.50" if priced else "0.0",
            customer_id="",
        )
        for number, (sku, quantity, priced) in enumerate(lines, start=2)
    ]


def sold(event: Any) -> list[tuple[str, int, Any]]:
    return [(line.sku, line.quantity, line.amount) for line in event.lines]


@given(invoice_rows())
def test_every_line_of_an_invoice_is_in_exactly_one_event(rows: list[Any]) -> None:
    units = Counter[str]()
    for out in online_retail.events_of(rows, NOW):
        if out.event.type == "adjust":
            units[out.event.sku] += out.event.delta
        else:
            for sku, quantity, _ in sold(out.event):
                units[sku] += quantity
    expected = Counter[str]()
    for line in rows:
        expected[line["sku"]] += int(line["quantity"])
    assert units == expected


@given(st.data())
def test_the_same_rows_in_another_order_make_the_same_events(data: st.DataObject) -> None:
    rows = data.draw(invoice_rows())
    shuffled = data.draw(st.permutations(rows))
    events = {out.event.id: out.event for out in online_retail.events_of(rows, NOW)}
    again = {out.event.id: out.event for out in online_retail.events_of(shuffled, NOW)}
    assert events == again


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abc"), max_size=9))
def test_rows_keep_their_ids_when_more_are_appended(rows: list[str], more: list[str]) -> None:
    before, after = Ordinals(), Ordinals()
    ids = [before.row_id(content) for content in rows]
    longer = [after.row_id(content) for content in rows + more]
    assert longer[: len(ids)] == ids
    assert len(set(longer)) == len(longer)


@given(st.lists(st.tuples(SKUS, st.integers(0, 9), QUANTITIES), min_size=1, max_size=30))
def test_opening_stock_is_the_least_that_keeps_levels_from_going_negative(
    moves: list[tuple[str, int, int]],
) -> None:
    spool = Spool(sqlite3.connect(":memory:", isolation_level=None), ())
    frame = pd.DataFrame(moves, columns=["sku", "at", "delta"], index=range(2, 2 + len(moves)))
    keys = pd.Series([f"group-{number}" for number in frame.index], index=frame.index)
    spool.add(frame, Placed(keys, frame["at"], frame["sku"], "shop", frame["delta"]))
    spool.arrange()
    needs = {need.sku: need.quantity for need in spool.needs()}
    for sku in {sku for sku, _, _ in moves}:
        level = lowest = needs.get(sku, 0)
        for _, _, delta in sorted((m for m in moves if m[0] == sku), key=lambda move: move[1]):
            level += delta
            lowest = min(lowest, level)
        assert lowest == 0 if sku in needs else lowest >= 0


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(CELLS, max_size=10).map(",".join),
            st.tuples(SKUS, QUANTITIES).map(
                lambda line: f"5363,{line[0]},A MUG,{line[1]},2011-03-01 10:00:00,2.5,,France"
            ),
        ).filter(lambda line: bool(line) and '"' not in line),
        min_size=1,
        max_size=20,
    )
)
def test_every_row_of_any_file_is_published_or_in_quarantine(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = dry_run("online-retail", write_lines(Path(folder, "f.csv"), RETAIL_HEADER, lines))
    assert report.rows_read == len(lines)
    assert report.rows_read == report.published_rows + report.quarantined_rows
    assert sum(report.quarantined.values()) == report.quarantined_rows == len(report.faults)
    assert report.published_rows >= sum(line.startswith("5363,") for line in lines)
