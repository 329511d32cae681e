"""docs/operations.md names what there is: commands with their options, files, pages, settings."""

from __future__ import annotations

import re
from typing import Any

import typer

from inventory.generate import ROOT
from inventory.main import app
from runtime.settings import PREFIX, Settings
from tests.support.compose import variables

PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
COMMAND = re.compile(
    r"(?:`|^|run --rm (?:-v \S+ )?)(?:inventory|shell) ([a-z][^`\n#]*)", re.MULTILINE
)


def test_every_command_exists_with_its_options() -> None:
    found = [match.split() for match in COMMAND.findall(PAGE)]
    assert len(found) >= 15
    assert ["reconcile"] in found
    for words in found:
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            names = words.pop(0).split("|")
            assert set(names) <= set(command.commands), names
            command = command.commands[names[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, command.name


def test_every_setting_and_variable_exists() -> None:
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields} | variables()
    named = set(re.findall(r"\b(?:INVENTORY|KAFKA|POSTGRES|CLICKHOUSE)_[A-Z_]+\b", PAGE))
    assert named <= known


def test_every_link_leads_to_a_file_or_a_heading() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        if link.startswith("#"):
            assert link[1:] in headings, link
        else:
            assert (ROOT / "docs" / link).exists(), link
