"""`python -m inventory.generate` writes what is stale, and refuses what would break somebody."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inventory.generate import ROOT, SCHEMAS, main


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the generated files, as the code says they are now."""
    (tmp_path / "docs").mkdir()
    for path in ("pyproject.toml", "docs/operations.md"):
        shutil.copy(ROOT / path, tmp_path / path)
    assert main([], tmp_path) == 0
    return tmp_path


def test_what_was_just_written_is_current(project: Path) -> None:
    assert main(["--check"], project) == 0


def test_check_names_the_stale_file_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = project / "docs/topics.md"
    page.write_text("old")
    assert main(["--check"], project) == 1
    assert "stale: docs/topics.md" in capsys.readouterr().err
    assert page.read_text() == "old"


def test_what_is_stale_is_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "docs/topics.md").write_text("old")
    capsys.readouterr()
    assert main([], project) == 0
    assert capsys.readouterr().out.splitlines() == ["docs/topics.md"]
    assert main(["--check"], project) == 0


def test_a_breaking_change_is_refused_until_it_is_meant(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The committed schema promises a field that the code no longer has."""
    path = project / SCHEMAS / "products.json"
    promised = json.loads(path.read_text())
    promised["$defs"]["Product"]["properties"]["colour"] = {"type": "string"}
    path.write_text(json.dumps(promised))
    assert main([], project) == 1
    assert "products: [product].colour: was removed" in capsys.readouterr().err
    assert json.loads(path.read_text()) == promised
    assert main(["--breaking"], project) == 0
    assert main(["--check"], project) == 0


def test_the_schema_of_a_topic_that_is_gone_goes_only_when_it_is_meant(project: Path) -> None:
    orphan = project / SCHEMAS / "no-such-topic.json"
    orphan.write_text("{}")
    assert main([], project) == 1
    assert orphan.exists()
    assert main(["--breaking"], project) == 0
    assert not orphan.exists()
