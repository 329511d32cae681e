"""Commands: topics, config."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from aiokafka import TopicPartition
from pydantic import SecretStr

from inventory.commands.printing import Json, print_json, print_table
from runtime.kafka import new_consumer, start
from runtime.partitions import partition_count
from runtime.settings import PREFIX, Settings, load_settings, read_endpoints
from runtime.topic_admin import describe_topics
from schemas.topics import TOPICS, Topic

config = typer.Typer(
    no_args_is_help=True,
    help="What this program is set to, and from where.",
    epilog="Example: **inventory config show**",
)


def describe(topic: Topic, settings: Settings) -> dict[str, Any]:
    """A topic of the registry as `inventory topics` tells it."""
    return {
        "name": topic.name,
        "key": "|".join(topic.key) or "the original key",
        "kept": "for ever" if topic.keep else "latest of a key",
        "partitions": partition_count(topic, settings.sku_partitions, settings.order_partitions),
        "writers": list(topic.writers),
        "readers": list(topic.readers),
        "why": topic.why,
    }


async def count_records(settings: Settings) -> dict[str, int]:
    """Topic -> offsets in use, over all partitions: records and marks of transactions."""
    infos = await describe_topics(settings, TOPICS)
    at = [TopicPartition(name, n) for name, info in infos.items() for n in range(info.partitions)]
    consumer = new_consumer(settings)
    await start(consumer, settings)
    try:
        consumer.assign(at)
        first, end = await consumer.beginning_offsets(at), await consumer.end_offsets(at)
    finally:
        await consumer.stop()
    counts = dict.fromkeys(infos, 0)
    for each in at:
        counts[each.topic] += end[each] - first[each]
    return counts


def topics(
    live: Annotated[bool, typer.Option("--live", help="Ask the broker how many records.")] = False,
    as_json: Json = False,
) -> None:
    """Every topic: its key, how long it is kept, who writes it, who reads it, and why."""
    settings = load_settings()
    described = [describe(topic, settings) for topic in TOPICS]
    if live:
        counts = asyncio.run(count_records(settings))
        for one in described:
            one["records"] = counts[one["name"]]
    if as_json:
        print_json(described)
        return
    for one in described:
        one["flow"] = f"{' '.join(one.pop('writers'))} → {' '.join(one.pop('readers'))}"
    print_table(list(described[0]), [list(one.values()) for one in described])


@dataclass(frozen=True, slots=True)
class SettingLine:
    """A setting as `config show` tells it. source: environment, state folder or default."""

    name: str
    value: Any
    source: str
    meaning: str


def setting_lines(settings: Settings) -> list[SettingLine]:
    """Every setting with its value, secrets hidden, and where the value comes from."""
    environment = {name.upper() for name in os.environ}
    left = read_endpoints(settings.state_dir)
    lines = []
    for name, field in Settings.model_fields.items():
        variable = f"{PREFIX}{name}".upper()
        source = (
            "environment"
            if variable in environment
            else "state folder"
            if name in left
            else "default"
        )
        shown = _shown(getattr(settings, name))
        lines.append(SettingLine(variable, shown, source, field.description or ""))
    return lines


def _shown(value: Any) -> Any:
    """A value without what is secret in it: addresses keep all but the password."""
    if not isinstance(value, SecretStr):
        return value if value is None or isinstance(value, int) else str(value)
    secret = value.get_secret_value()
    parts = urlsplit(secret)
    if not secret or not parts.hostname:
        return "***" if secret else ""
    password = parts.password
    return secret.replace(f":{password}@", ":***@") if password else secret


@config.command("show", epilog="Example: **inventory config show**")
def show_config(as_json: Json = False) -> None:
    """Each setting, its value (secrets hidden) and its source.

    The environment wins over the state folder, which wins over the default.
    """
    lines = setting_lines(load_settings())
    if as_json:
        print_json(lines)
        return
    print_table(
        ["setting", "value", "source", "meaning"],
        [(line.name, line.value, line.source, line.meaning) for line in lines],
    )


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.command("topics", epilog="Example: **inventory topics --live**")(topics)
    root.add_typer(config, name="config")
