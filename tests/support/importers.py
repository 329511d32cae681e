"""Files for importers, and what a dry run or a topic makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from producers.importers.backlog import read_all
from producers.importers.checking import FileChecker
from producers.importers.pipeline import Options, run_import
from producers.importers.reading import find_layout, read_rows, survey_file
from producers.importers.report import Report
from producers.importers.sources import source_named
from producers.importers.spool import open_spool
from runtime.codec import adapter
from runtime.settings import Settings, load_settings
from schemas.topics import Topic

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"
RETAIL_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def retail_line(
    invoice: str,
    sku: str,
    quantity: int,
    price: str = "2.50",
    at: str = "2011-03-01 10:00:00",
    customer: str = "17850.0",
    description: str = "A MUG",
) -> str:
    """A line of an Online Retail file."""
    return f"{invoice},{sku},{description},{quantity},{at},{price},{customer},United Kingdom"


def write_lines(path: Path, header: str, lines: Iterable[str]) -> Path:
    path.write_text("\n".join([header, *lines, ""]))
    return path


def row(**cells: Any) -> Mapping[str, Any]:
    """A clean Online Retail row as the spool gives it."""
    cells = {
        "row_no": 2,
        "at": 1_298_973_600,
        "invoice": "536365",
        "sku": "85123A",
        "description": "A MUG",
        "quantity": "6",
        "sold_at": "2011-03-01 10:00:00",
        "unit_price": "2.55",
        "customer_id": "17850",
        "country": "United Kingdom",
        **cells,
    }
    return {"group_key": cells["invoice"], **cells}


def dry_run(source: str, path: Path) -> Report:
    """Everything but publishing."""
    return asyncio.run(
        run_import(load_settings(), source_named(source), path, lambda: NOW, Options(dry_run=True))
    )


def events_of_file(source_name: str, path: Path) -> Iterator[Any]:
    """Every event that the groups of a file make, in the order in which they are published."""
    source = source_named(source_name)
    layout = find_layout(survey_file(path), source)
    checker, raw_rows = FileChecker(layout), read_rows(layout)
    with open_spool(layout.variant.columns) as spool:
        while chunk := list(islice(raw_rows, 20_000)):
            rows = checker.check(chunk).rows
            spool.add(rows, layout.variant.place(rows))
        spool.arrange()
        source.resolve(spool.db)
        for _key, rows_of_group in spool.groups():
            for out in layout.variant.events(rows_of_group, NOW):
                yield out.event


async def published(settings: Settings, topic: Topic, prefix: str) -> list[Any]:
    """The events on a topic whose id starts like this, as their models, oldest first."""
    return [
        adapter(topic).validate_json(entry.value, strict=True)
        async for entry in read_all(settings, topic)
        if entry.event_id.startswith(prefix) and entry.value is not None
    ]


def by_id(events: Sequence[Any]) -> dict[str, Any]:
    """Events by id; the same id twice must say the same, as whoever folds them expects."""
    found: dict[str, Any] = {}
    for event in events:
        assert found.setdefault(event.id, event) == event, event.id
    return found
