"""Imports against a real broker: what is on the topics afterwards, once, and nothing else.

No workers run here, so the importers are told not to wait for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition

from producers.importers.backlog import read_imports, readers
from producers.importers.pipeline import OnProgress, Options, run_import, silent
from producers.importers.publishing import IN_FLIGHT_MAX
from producers.importers.quarantine import Quarantine, open_quarantine
from producers.importers.report import Report
from producers.importers.retrying import correct, retry
from producers.importers.sources import source_named
from runtime.kafka import publisher
from runtime.settings import Settings
from schemas.events.catalog import Product
from schemas.topics import (
    ALERT_COMMANDS,
    CUSTOMERS,
    IMPORTS,
    ORDERS,
    PRODUCTS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
)
from tests.support.importers import (
    NOW,
    RETAIL_HEADER,
    by_id,
    published,
    retail_line,
    write_lines,
)
from tests.support.shell import Fold, level

HASTE = Options(stall_seconds=0.1)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def tag() -> str:
    """Invoices and SKUs of a test's own: tests share the topics."""
    return str(uuid4().int)[:9]


@pytest.fixture
def quarantine(platform: Settings) -> Iterator[Quarantine]:
    with open_quarantine(platform.state_dir) as opened:
        yield opened


async def run(
    settings: Settings,
    source: str,
    path: Path,
    options: Options = HASTE,
    on_progress: OnProgress = silent,
) -> Report:
    return await run_import(settings, source_named(source), path, lambda: NOW, options, on_progress)


async def orders_of(settings: Settings, tag: str) -> list[Any]:
    return await published(settings, ORDERS, f"online-retail/{tag}")


async def opening_of(settings: Settings, sku: str) -> list[int]:
    """What was received as opening stock, a repeated command counted once as folds do."""
    commands = await published(settings, STOCK_COMMANDS, f"opening/online-retail/{sku}/")
    return [event.quantity for event in by_id(commands).values()]


async def test_a_history_is_published_once_with_all_that_belongs_to_it(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    lines = [
        retail_line(f"{tag}1", f"m{tag}", 4),
        retail_line(f"{tag}1", "POST", 1, "18.00"),
        retail_line(f"{tag}2", f"M{tag}", -3, "0.0", "2011-03-02 10:00:00", "", "damaged"),
        retail_line(f"C{tag}3", f"M{tag}", -1, at="2011-03-03 10:00:00"),
        retail_line(f"A{tag}4", "B", 1, "11062.06"),
    ]
    path = write_lines(tmp_path / "retail.csv", RETAIL_HEADER, lines)
    report = await run(platform, "online-retail", path)
    assert (report.rows_read, report.published_rows, report.quarantined_rows) == (5, 4, 1)

    (order,) = await orders_of(platform, f"{tag}1")
    assert [(line.sku, line.quantity) for line in order.lines] == [(f"M{tag}", 4), ("POST", 1)]
    (back,) = await orders_of(platform, f"C{tag}3")
    assert back.lines[0].amount == Decimal("2.50")
    (product,) = await published(platform, PRODUCTS, f"online-retail/M{tag}/")
    assert (product.name, product.stocked) == ("A MUG", True)
    assert await opening_of(platform, f"M{tag}") == [7]
    rechecks = await published(platform, ALERT_COMMANDS, f"{report.import_id}/")
    assert [(event.sku, event.due_at, event.backfill) for event in rechecks] == [
        (f"M{tag}", None, False)
    ]
    customers = await published(platform, CUSTOMERS, "online-retail/17850/")
    assert customers[0].country == "United Kingdom"
    progress = (await read_imports(platform))[report.import_id]
    assert (progress.status, progress.rows_read, progress.quarantined_rows) == ("done", 5, 1)

    again = await run(platform, "online-retail", path)
    assert (again.published_rows, again.skipped_rows, again.quarantined_rows) == (0, 4, 1)
    assert len(await orders_of(platform, f"{tag}1")) == 1


async def test_a_killed_import_resumes_and_loses_nothing(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    count = 2 * IN_FLIGHT_MAX + 500
    lines = [retail_line(f"{tag}{n}", f"K{tag}-{n % 7}", 1) for n in range(1000, 1000 + count)]
    path = write_lines(tmp_path / "retail.csv", RETAIL_HEADER, lines)

    def dies_at_the_second_flush(stage: str, done: int, _total: int | None) -> None:
        if stage == "publishing" and done > IN_FLIGHT_MAX:
            raise Killed

    with pytest.raises(Killed):
        await run(platform, "online-retail", path, on_progress=dies_at_the_second_flush)
    before = len(by_id(await orders_of(platform, tag)))
    assert 0 < before < count

    report = await run(platform, "online-retail", path)
    assert report.published_rows + report.skipped_rows == count
    assert set(by_id(await orders_of(platform, tag))) == {
        f"online-retail/{tag}{n}/placed" for n in range(1000, 1000 + count)
    }
    needed = Counter(n % 7 for n in range(1000, 1000 + count))
    for number, quantity in needed.items():
        assert await opening_of(platform, f"K{tag}-{number}") == [quantity]


async def test_a_longer_export_adds_only_what_is_new(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    lines = [
        retail_line(f"{tag}1", f"L{tag}", 5),
        retail_line(f"{tag}2", f"L{tag}", -1, "0.0", customer="", description="damaged"),
    ]
    more = [retail_line(f"{tag}3", f"L{tag}", 2, at="2011-03-09 10:00:00")]
    await run(platform, "online-retail", write_lines(tmp_path / "short.csv", RETAIL_HEADER, lines))
    await run(
        platform, "online-retail", write_lines(tmp_path / "long.csv", RETAIL_HEADER, lines + more)
    )
    assert set(by_id(await orders_of(platform, tag))) == {
        f"online-retail/{tag}1/placed",
        f"online-retail/{tag}3/placed",
    }
    adjusted = [
        event
        for event in await published(platform, STOCK_COMMANDS, "online-retail/adjust/")
        if event.sku == f"L{tag}"
    ]
    assert len(by_id(adjusted)) == 1
    assert await opening_of(platform, f"L{tag}") == [6, 2]


async def test_without_opening_stock_nothing_is_received(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    path = write_lines(
        tmp_path / "retail.csv", RETAIL_HEADER, [retail_line(f"{tag}1", f"N{tag}", 5)]
    )
    await run(platform, "online-retail", path, replace(HASTE, opening_stock="none"))
    assert await opening_of(platform, f"N{tag}") == []
    assert len(await orders_of(platform, tag)) == 1


async def test_a_dry_run_publishes_nothing_and_holds_nothing(
    platform: Settings, tmp_path: Path, tag: str, quarantine: Quarantine
) -> None:
    lines = [retail_line(f"{tag}1", f"D{tag}", 5), retail_line(f"A{tag}2", "B", 1)]
    path = write_lines(tmp_path / "retail.csv", RETAIL_HEADER, lines)
    report = await run(platform, "online-retail", path, replace(HASTE, dry_run=True))
    assert (report.published_rows, report.quarantined_rows) == (1, 1)
    assert await orders_of(platform, tag) == []
    assert report.import_id not in await read_imports(platform)
    assert report.import_id not in {row.import_id for row in quarantine.waiting()}


async def test_what_people_said_of_a_product_is_not_overwritten_by_a_history(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    named = Product(id=f"web/{tag}", occurred_at=NOW, sku=f"P{tag}", name="As the shop calls it")
    async with publisher(platform, "/test") as sender:
        await sender.send(PRODUCTS, named)
    path = write_lines(
        tmp_path / "retail.csv", RETAIL_HEADER, [retail_line(f"{tag}1", f"P{tag}", 5)]
    )
    await run(platform, "online-retail", path)
    assert await published(platform, PRODUCTS, f"online-retail/P{tag}/") == []


async def test_a_corrected_row_leaves_quarantine_and_is_published_once(
    platform: Settings, tmp_path: Path, tag: str, quarantine: Quarantine
) -> None:
    lines = [retail_line(f"{tag}1", f"Q{tag}", 5), f"{tag}1,Q{tag},A MUG,six,when?,2.50,,France"]
    path = write_lines(tmp_path / "retail.csv", RETAIL_HEADER, lines)
    report = await run(platform, "online-retail", path)
    (held,) = [row for row in quarantine.waiting() if row.import_id == report.import_id]
    assert [fault.column for fault in held.faults] == ["quantity", "sold_at"]

    half = correct(held, {"quantity": "6"}, list(held.cells))
    result = await retry(platform, quarantine, [half], lambda: NOW, HASTE)
    assert (result.published, list(result.faults)) == ([], [held.id])
    held = quarantine.get(held.id)
    assert held.cells["quantity"] == "6"
    assert [fault.column for fault in held.faults] == ["sold_at"]

    right = correct(held, {"sold_at": "2011-03-01 10:00:00"}, list(held.cells))
    for _ in range(2):
        result = await retry(platform, quarantine, [right], lambda: NOW, HASTE)
        assert result.published == [held.id]
    assert quarantine.get(held.id).published_at is not None
    orders = by_id(await orders_of(platform, tag))
    assert set(orders) == {
        f"online-retail/{tag}1/placed",
        f"online-retail/{tag}1-q{held.row_no}/placed",
    }


async def test_a_catalogue_counts_again_once_another_came_between(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    first, second = (
        write_lines(tmp_path / f"{name}.csv", "sku,name", [f"S{tag},{name}"])
        for name in ("old", "new")
    )
    ticks = iter(range(100))

    def clock() -> Any:
        return NOW.replace(second=next(ticks))

    reports = [
        await run_import(platform, source_named("products"), path, clock, HASTE)
        for path in (first, first, second, first)
    ]
    assert [report.published_rows for report in reports] == [1, 0, 1, 1]
    names = [event.name for event in await published(platform, PRODUCTS, f"products/S{tag}/")]
    assert names == ["old", "new", "old"]


async def test_counts_are_live_events_and_the_same_file_counts_once(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    path = write_lines(tmp_path / "stock.csv", "sku,location,quantity", [f"T{tag},cairo-1,12"])
    for _ in range(2):
        await run(platform, "stock", path)
    (count,) = await published(platform, STOCK_COMMANDS, f"stock/T{tag}/")
    assert (count.type, count.counted, count.backfill) == ("count", 12, False)


async def test_the_end_of_a_topic_is_its_last_record_and_not_a_marker(platform: Settings) -> None:
    """A reader's committed position stands before the marker for ever."""
    async with Fold(platform) as fold, readers(platform) as followers:
        sku = f"E{uuid4().hex[:8]}".upper()
        at = TopicPartition(STOCK_LEVELS.name, fold.partition(STOCK_LEVELS, f"{sku}|a"))
        await fold.commit([(STOCK_LEVELS, level(sku, "a", 1))])
        end = (await followers.ends(STOCK_LEVELS))[at]
        await fold.commit([(STOCK_LEVELS, level(sku, "a", 2))])
        assert (await followers.ends(STOCK_LEVELS))[at] == end + 2  # the marker and the record


async def test_every_import_says_how_far_it_is(
    platform: Settings, tmp_path: Path, tag: str
) -> None:
    path = write_lines(
        tmp_path / "retail.csv", RETAIL_HEADER, [retail_line(f"{tag}1", f"I{tag}", 5)]
    )
    report = await run(platform, "online-retail", path)
    said = await published(platform, IMPORTS, report.import_id)
    assert [progress.status for progress in said] == ["running", "done"]
    assert said[-1].published[ORDERS.name] == 1
