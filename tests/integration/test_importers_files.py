"""Files as they come: what is said of each, and that every row is accounted for."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from producers.importers.reading import find_layout, survey_file
from producers.importers.report import Report
from producers.importers.sources import source_named
from runtime.errors import InventoryError
from tests.support.importers import (
    EXAMPLES,
    RETAIL_HEADER,
    SHARED_DATA,
    dry_run,
    events_of_file,
    retail_line,
    write_lines,
)

STOCK = "sku,location,quantity"
CENT = Decimal("0.01")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def accounted(report: Report) -> None:
    assert report.rows_read == report.published_rows + report.quarantined_rows
    assert sum(report.quarantined.values()) == report.quarantined_rows


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"sku,location,quantity\n", "has a header but no rows"),
        (b"sku:location:quantity\nTEA:a:3\n", "has no column sku, location_id, quantity"),
        (b"TEA-250,cairo-1,3\nMUG,cairo-1,4\n", "has no column"),
        (b"sku,location,quantity,quantity\nTEA,a,3,4\n", "more than one column 'quantity'"),
        (b"PK\x03\x04rest", "zip archive or an Excel workbook"),
        (b"\x1f\x8b\x08\x00broken", "is damaged"),
        (gzip.compress(b"sku,location,quantity\nTEA,a,3\n" * 99)[:-12], "is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, why: str
) -> None:
    with pytest.raises(InventoryError, match=why) as refused:
        dry_run("stock", write(tmp_path / "f.csv", content))
    assert refused.value.remedy


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InventoryError, match="cannot be read"):
            dry_run("stock", path)


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [
        ("utf-8", ","),
        ("utf-8-sig", ";"),
        ("utf-16", "\t"),
        ("cp1252", "|"),
        ("cp1252", ";"),
    ],
)
def test_encodings_and_delimiters_are_found(tmp_path: Path, encoding: str, delimiter: str) -> None:
    names = ["Café crème brûlée", "Thé à la menthe", "Grüner Tee, süß", "Señor Müsli"]
    lines = [f"SKU-{n}{delimiter}{name}" for n, name in enumerate(names) if delimiter not in name]
    text = "\r\n".join([f"Product ID{delimiter}Product Name", *lines, ""])
    report = dry_run("products", write(tmp_path / "f.csv", text.encode(encoding)))
    assert (report.encoding, report.delimiter) == (encoding, delimiter)
    assert report.published_rows == len(lines)


def test_decimal_commas_are_read_in_files_with_semicolons(tmp_path: Path) -> None:
    lines = ["TEA;Tea;1.234,50;EUR", "MUG;Mug;12;EUR"]
    report = dry_run("products", write_lines(tmp_path / "f.csv", "sku;name;price;currency", lines))
    assert report.published_rows == 2
    assert report.cleaned["decimal_comma_read"] == 1


def test_lines_in_another_encoding_are_put_aside(tmp_path: Path) -> None:
    lines = ["A1,Café".encode(), "A2,Thé".encode("cp1252"), b"A3,Tea"]
    report = dry_run("products", write(tmp_path / "f.csv", b"\n".join([b"sku,name", *lines])))
    assert (report.published_rows, report.quarantined_rows) == (2, 1)
    assert report.faults[0].row_no == 3
    assert "not utf-8" in report.faults[0].faults[0]


def test_ragged_rows_are_put_aside_and_blank_lines_are_none(tmp_path: Path) -> None:
    lines = ["TEA,a,3", "", "MUG,a", "CUP,a,3,4", "POT,a,1"]
    report = dry_run("stock", write_lines(tmp_path / "f.csv", STOCK, lines))
    assert (report.rows_read, report.published_rows) == (4, 2)
    assert [row.row_no for row in report.faults] == [4, 5]
    assert "2 cells, the header has 3" in report.faults[0].faults[0]


def test_every_fault_of_the_file_is_reported_with_row_and_column(tmp_path: Path) -> None:
    lines = ["TEA,a,3", ",a,three", "MUG,,-1", "CUP,a,2"]
    report = dry_run("stock", write_lines(tmp_path / "f.csv", STOCK, lines))
    assert [(row.row_no, len(row.faults)) for row in report.faults] == [(3, 2), (4, 2)]
    assert report.faults[1].faults[0] == "location_id is missing"
    accounted(report)


def test_contradicting_counts_are_put_aside_together(tmp_path: Path) -> None:
    lines = ["TEA,a,3", "MUG,a,1", "tea,a,4"]
    report = dry_run("stock", write_lines(tmp_path / "f.csv", STOCK, lines))
    assert report.published_rows == 1
    assert report.quarantined == {"rows 2 and 4 differ in quantity": 2}


def test_an_open_quote_costs_its_rows_and_not_the_import(tmp_path: Path) -> None:
    lines = ["TEA,a,3", '"MUG,a,4', *(f"X-{n},a,1" for n in range(100_000)), "CUP,a,5"]
    report = dry_run("stock", write_lines(tmp_path / "f.csv", STOCK, lines))
    accounted(report)
    assert report.published_rows >= 1
    assert report.quarantined_rows >= 1


def test_no_usable_row_is_a_failure(tmp_path: Path) -> None:
    report = dry_run("stock", write_lines(tmp_path / "f.csv", STOCK, ["TEA,a,many"]))
    assert not report.usable
    assert report.status == "failed"


@pytest.mark.parametrize("source", ["products", "locations", "stock", "suppliers"])
def test_the_examples_are_without_fault(source: str) -> None:
    report = dry_run(source, EXAMPLES / f"{source}.csv")
    assert report.quarantined_rows == 0
    assert report.published_rows == report.rows_read > 0


def test_the_example_history_is_real_and_whole() -> None:
    report = dry_run("online-retail", EXAMPLES / "online_retail_history.csv.gz")
    assert (report.rows_read, report.quarantined_rows) == (7_378, 0)
    assert report.published["orders"] > 200


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Reads files of 20,000 and 150,000 rows, each in a process of its own."""
    program = (
        "import sys, resource; from pathlib import Path; "
        "from tests.support.importers import dry_run; "
        "assert dry_run('online-retail', Path(sys.argv[1])).quarantined_rows == 0; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for rows in (20_000, 150_000):
        lines = (retail_line(str(n // 10), f"SKU-{n % 500}", 1 + n % 7) for n in range(rows))
        path = write_lines(tmp_path / f"{rows}.csv", RETAIL_HEADER, lines)
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 80_000, peaks  # KiB


# --- the real files -------------------------------------------------------------------------------

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"the real files are not in {SHARED_DATA}"
)


@needs_shared_data
def test_online_retail_follows_the_rules_to_the_unit() -> None:
    """Our events against pandas' own reading of the file."""
    path = SHARED_DATA / "online_retail" / "online_retail.csv.gz"
    units, amount, adjusted, lines = 0, Decimal(0), 0, 0
    skus = Counter[str]()
    for event in events_of_file("online-retail", path):
        if event.type == "adjust":
            adjusted += event.delta
            lines += 1
            continue
        sign = -1 if event.type == "returned" else 1
        lines += len(event.lines)
        for line in event.lines:
            units += sign * line.quantity
            amount += sign * line.amount
            skus[line.sku] += sign * line.quantity
    assert (lines, units, amount) == (541_906, 5_324_685, Decimal("9758809.994"))
    assert adjusted == -148_238

    file = pd.read_csv(path, dtype=str, keep_default_na=False)
    quantity, price = file["Quantity"].astype(int), file["UnitPrice"].astype(float)
    bad_debt = file["InvoiceNo"].str.startswith("A")
    sold = (quantity > 0) & ((price > 0) | (file["CustomerID"] != ""))
    sold |= file["InvoiceNo"].str.startswith("C")
    expected = quantity[sold & ~bad_debt].groupby(file["StockCode"].str.upper()).sum()
    assert bad_debt.sum() == 541_909 - lines
    assert {sku: units for sku, units in skus.items() if units} == {
        str(sku): int(units) for sku, units in expected.items() if units
    }


@needs_shared_data
@pytest.mark.parametrize(
    ("file", "variant", "encoding", "amount"),
    [
        ("superstore.csv.gz", "27 columns", "utf-8", "12642905.00"),
        ("Global_Superstore2.csv.gz", "24 columns", "cp1252", "12642501.91"),
    ],
)
def test_both_forms_of_superstore(file: str, variant: str, encoding: str, amount: str) -> None:
    path = SHARED_DATA / "superstore" / file
    layout = find_layout(survey_file(path), source_named("superstore"))
    assert (layout.variant.name, layout.survey.encoding) == (variant, encoding)
    orders = list(events_of_file("superstore", path))
    lines = [line for order in orders for line in order.lines]
    assert (len(orders), len(lines)) == (25_753, 51_290)
    assert len({line.sku for line in lines}) == 10_768
    assert len({order.location_id for order in orders}) == 147
    assert sum(line.quantity for line in lines) == 178_312
    assert sum((line.amount for line in lines), Decimal(0)).quantize(CENT) == Decimal(amount)


@needs_shared_data
@pytest.mark.parametrize(
    ("file", "suppliers", "quarantined"),
    [
        ("scms_delivery_history.csv.gz", 73, 0),
        ("procurement_kpi.csv", 5, 0),
        ("procurement_kpi_dirty.csv", 5, 1),
    ],
)
def test_suppliers_out_of_deliveries(file: str, suppliers: int, quarantined: int) -> None:
    report = dry_run("suppliers", SHARED_DATA / "suppliers" / file)
    assert report.published["suppliers"] == suppliers
    assert report.quarantined_rows == quarantined
    accounted(report)
