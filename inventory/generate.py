"""Writes what is generated from the code: `python -m inventory.generate [--check]`.

JSON Schemas are more than documentation: those committed are what writers outside rely on. They
are not overwritten by a change that breaks somebody, unless `--breaking` says that it is meant.
The pages of the two stores are made from servers that the migrations were applied to, so only
`--stores` makes them anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from inventory.generated.asyncapi import asyncapi_text
from inventory.generated.compatibility import breaking_changes
from inventory.generated.json_schemas import schema_text, topic_schema
from inventory.generated.operator_tables import filled
from inventory.generated.store_catalogs import store_pages
from inventory.generated.topics_page import topics_page
from runtime.errors import InventoryError
from runtime.settings import load_settings
from schemas.topics import TOPICS

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = "schemas/json"
REGENERATE = "python -m inventory.generate"


def generated(root: Path = ROOT) -> dict[str, str]:
    """Path under the project's root -> what the code says the file should hold.

    Nothing for a schema whose topic is gone. Without the pages of the stores: see `store_pages`.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    operations = (root / "docs/operations.md").read_text(encoding="utf-8")
    return {
        **{f"{SCHEMAS}/{path.name}": "" for path in (root / SCHEMAS).glob("*.json")},
        **{f"{SCHEMAS}/{topic.name}.json": schema_text(topic) for topic in TOPICS if topic.models},
        "docs/topics.md": topics_page(),
        "docs/asyncapi.yaml": asyncapi_text(project["version"]),
        "docs/operations.md": filled(operations),
    }


def stale(wanted: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Paths whose files differ from what is wanted."""
    return sorted(path for path, text in wanted.items() if _read(root / path) != text)


def broken(root: Path = ROOT) -> list[str]:
    """What the events as they are now would break of the committed schemas."""
    found = []
    topics = {topic.name: topic for topic in TOPICS if topic.models}
    for path in sorted((root / SCHEMAS).glob("*.json")):
        topic = topics.get(path.stem)
        if topic is None:
            found.append(f"{path.stem}: the topic was removed")
            continue
        committed = json.loads(path.read_text(encoding="utf-8"))
        found += [
            f"{path.stem}: {what}" for what in breaking_changes(committed, topic_schema(topic))
        ]
    return found


def write(wanted: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Write what is stale; returns the paths."""
    changed = stale(wanted, root)
    for path in changed:
        file = root / path
        if wanted[path]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[path], encoding="utf-8")
        else:
            file.unlink()
    return changed


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    options = _parser().parse_args(arguments)
    wanted = generated(root)
    if options.stores:
        try:
            wanted |= asyncio.run(store_pages(load_settings()))
        except InventoryError as error:
            print(f"{error} {error.remedy}", file=sys.stderr)
            return error.exit_code
    breaks = broken(root)
    for what in breaks:
        print(f"breaking: {what}", file=sys.stderr)
    if options.check:
        differ = stale(wanted, root)
        for path in differ:
            print(f"stale: {path}", file=sys.stderr)
        if differ:
            print(f"Run '{REGENERATE}'.", file=sys.stderr)
        return 1 if differ else 0
    if breaks and not options.breaking:
        print(
            "Nothing was written: old records or writers outside would be refused. Add an optional "
            "field or a new event type instead; or, if it is meant, say it in CHANGELOG.md and "
            "repeat with --breaking.",
            file=sys.stderr,
        )
        return 1
    for path in write(wanted, root):
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=REGENERATE, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    parser.add_argument(
        "--breaking", action="store_true", help="write schemas that break the committed ones"
    )
    parser.add_argument(
        "--stores",
        action="store_true",
        help="the stores' pages too, from the migrated servers that the settings name",
    )
    return parser


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
