"""What the program says of itself: settings, topics, and help that teaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from inventory.commands import about, alerting, letters, querying, selling, stockroom
from inventory.commands.about import setting_lines
from runtime.settings import ENDPOINTS_FILE, Settings, load_settings
from schemas.topics import TOPICS

MODULES = (about, alerting, letters, querying, selling, stockroom)
EXPECTED = {
    "alerts": {"ack", "snooze", "resolve", "set", "unset"},
    "config": {"show"},
    "dead-letters": {"list", "show", "retry"},
    "order": {"place", "pay", "ship", "cancel", "return", "show"},
    "pos": {"sale"},
    "query": {"postgres", "clickhouse"},
    "stock": {"receive", "transfer", "adjust", "count", "show"},
    "topics": set(),
}


def shell() -> typer.Typer:
    app = typer.Typer()
    for module in MODULES:
        module.register(app)
    return app


def paths() -> list[list[str]]:
    return [
        [name, *([sub] if sub else [])]
        for name, subs in EXPECTED.items()
        for sub in ["", *sorted(subs)]
    ]


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_help_gives_an_example_of_that_command(path: list[str]) -> None:
    result = CliRunner().invoke(shell(), [*path, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert f"inventory {path[0]}" in text.partition("Example:")[2].replace("**", "")


def test_the_names_are_those_of_the_design() -> None:
    root = typer.main.get_command(shell())
    found = {name: set(getattr(group, "commands", {})) for name, group in root.commands.items()}  # type: ignore[attr-defined]
    assert found == EXPECTED


def test_topics_tells_the_whole_registry() -> None:
    result = CliRunner().invoke(shell(), ["topics", "--json"])
    told = json.loads(result.output)
    assert [one["name"] for one in told] == [topic.name for topic in TOPICS]
    orders = next(one for one in told if one["name"] == "orders")
    assert (orders["key"], orders["kept"], orders["partitions"]) == ("order_id", "for ever", 4)
    assert "orders" in orders["readers"]


def test_config_says_where_each_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql://shop:s3cret@127.0.0.1:5432/db"
    (tmp_path / ENDPOINTS_FILE).write_text(json.dumps({"kafka": "a:1", "postgres": address}))
    for name in Settings.model_fields:
        monkeypatch.delenv(f"INVENTORY_{name.upper()}", raising=False)
    monkeypatch.setenv("INVENTORY_STATE", str(tmp_path))
    monkeypatch.setenv("INVENTORY_KAFKA", "b:2")
    monkeypatch.setenv("INVENTORY_KAFKA_PASSWORD", "s3cret")
    lines = {line.name: line for line in setting_lines(load_settings())}
    assert set(lines) == {f"INVENTORY_{name.upper()}" for name in Settings.model_fields}
    assert (lines["INVENTORY_KAFKA"].value, lines["INVENTORY_KAFKA"].source) == (
        "b:2",
        "environment",
    )
    assert lines["INVENTORY_POSTGRES"].source == "state folder"
    assert lines["INVENTORY_POSTGRES"].value == "postgresql://shop:***@127.0.0.1:5432/db"
    assert lines["INVENTORY_LOG_LEVEL"].source == "default"
    assert "s3cret" not in str(lines)


def test_config_hides_secrets_that_are_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_POSTGRES", "host=db password=s3cret")
    assert "s3cret" not in str(setting_lines(load_settings()))
