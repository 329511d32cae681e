"""`inventory import` and `inventory quarantine`, as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from inventory.commands import importing
from runtime.errors import InventoryError
from runtime.settings import Settings
from tests.support.importers import EXAMPLES, write_lines

STOCK = "sku,location,quantity"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder without a platform."""
    monkeypatch.setenv("INVENTORY_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("INVENTORY_KAFKA", raising=False)
    return tmp_path


def inventory(*arguments: str | Path) -> Result:
    app = typer.Typer()
    importing.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_dry_run_needs_no_platform_and_answers_in_json(folder: Path) -> None:
    result = inventory("import", "stock", EXAMPLES / "stock.csv", "--dry-run", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["rows_read"], report["published_rows"], report["dry_run"]) == (10, 10, True)


def test_a_report_for_people_names_rows_and_faults(folder: Path) -> None:
    path = write_lines(folder / "f.csv", STOCK, ["TEA,a,3", "MUG,a,many"])
    result = inventory("import", "stock", path, "--dry-run")
    assert result.exit_code == 0
    assert "row 3: quantity is no whole number ('many')" in result.stdout


def test_nothing_usable_is_an_error(folder: Path) -> None:
    path = write_lines(folder / "f.csv", STOCK, ["MUG,a,many"])
    result = inventory("import", "stock", path, "--dry-run", "--json")
    assert isinstance(result.exception, InventoryError)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["quarantined_rows"] == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("import", "nothing", "f.csv"), "no source 'nothing'"),
        (("import", "stock", EXAMPLES / "stock.csv"), "No address of kafka"),
        (("import", "stock", "f.csv", "--every", "often"), "no span of time"),
        (("quarantine", "show", "7"), "no row 7"),
        (("quarantine", "retry", "--set", "sku=A"), "belongs to one row"),
        (("quarantine", "retry", "--set", "sku"), "no correction"),
    ],
)
def test_mistakes_are_said_in_a_sentence(
    folder: Path, arguments: tuple[str | Path, ...], why: str
) -> None:
    result = inventory(*arguments)
    assert isinstance(result.exception, InventoryError)
    assert why in str(result.exception)
    assert result.exception.remedy


def test_rows_wait_are_shown_corrected_and_published(
    platform: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVENTORY_STATE", str(platform.state_dir))
    path = write_lines(tmp_path / "f.csv", STOCK, ["CLI-1,cli,3", "CLI-2,cli,many"])
    assert inventory("import", "stock", path).exit_code == 0
    listed = json.loads(inventory("quarantine", "list", "--source", "stock", "--json").stdout)
    (number,) = [row["id"] for row in listed if row["file"] == "f.csv"]
    shown = inventory("quarantine", "show", str(number))
    assert "CLI-2,cli,many" in shown.stdout
    refused = inventory("quarantine", "retry", str(number), "--set", "colour=red")
    assert "has no column 'colour'" in str(refused.exception)
    done = inventory("quarantine", "retry", str(number), "--set", "quantity=4", "--json")
    assert json.loads(done.stdout)["published"] == [number]
    assert inventory("quarantine", "retry", str(number)).stdout.startswith("0 rows published")
