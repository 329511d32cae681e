"""What is generated holds what the code says, and says it the same way each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from inventory.generated.asyncapi import asyncapi_text
from inventory.generated.docstrings import field_meanings, summary
from inventory.generated.json_schemas import compact_json, event_type, schema_text, topic_schema
from inventory.generated.operator_tables import filled, metrics_table, settings_table
from inventory.generated.topics_page import table, topics_page
from inventory.workers import WORKERS
from runtime.errors import Mismatch
from runtime.settings import Settings
from schemas.topics import PRODUCTS, STOCK_COMMANDS, TOPICS, Topic


@dataclass(kw_only=True)
class Base:
    """A base.

    id: chosen by the writer.
    """

    id: str


@dataclass(kw_only=True)
class Goods(Base):
    """Goods that arrived: all of them.

    count, weight: how much came. Never below zero.
    place: where; a warehouse
        or a store. late: after the day that was agreed.
    """

    count: int
    weight: int
    place: str
    late: bool = False


@dataclass(kw_only=True)
class Silent(Base):
    count: int


def test_a_docstring_says_what_the_class_and_each_field_means() -> None:
    assert summary(Goods) == "Goods that arrived: all of them."
    assert field_meanings(Goods) == {
        "id": "chosen by the writer.",
        "count": "how much came. Never below zero.",
        "weight": "how much came. Never below zero.",
        "place": "where; a warehouse or a store.",
        "late": "after the day that was agreed.",
    }


def test_a_class_without_a_docstring_says_only_what_it_inherits() -> None:
    assert summary(Silent) == ""
    assert field_meanings(Silent) == {"id": "chosen by the writer."}


def test_json_stands_on_one_line_where_it_fits() -> None:
    long = {"a": [1, 2], "b": ["x" * 60, "y" * 60]}
    assert compact_json({"a": [1, 2]}) == '{"a": [1, 2]}'
    assert compact_json(long).splitlines()[1] == '  "a": [1, 2],'
    assert eval(compact_json(long)) == long


def test_a_writer_must_say_the_type_and_sees_what_fields_mean() -> None:
    product = topic_schema(PRODUCTS)["$defs"]["Product"]
    assert product["required"][0] == "type"
    assert product["properties"]["price"]["anyOf"][0]["x-decimal-places"] == 4
    assert product["properties"]["sku"]["maxLength"] == 64
    assert "GTIN" in product["properties"]["barcode"]["description"]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_page_shows_each_topic_with_all_its_events(topic: Topic) -> None:
    page = topics_page()
    assert f"\n## {topic.name}\n" in page
    for model in topic.models:
        assert f"### {topic.name}: `{event_type(model)}`" in page


def test_generating_twice_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    before = (topics_page(), asyncapi_text("1.0"), schema_text(STOCK_COMMANDS), settings_table())
    monkeypatch.setenv("INVENTORY_SKU_PARTITIONS", "64")
    monkeypatch.setenv("INVENTORY_KAFKA_REPLICATION", "3")
    after = (topics_page(), asyncapi_text("1.0"), schema_text(STOCK_COMMANDS), settings_table())
    assert before == after


def test_every_setting_and_metric_has_its_meaning() -> None:
    text = settings_table()
    for name, field in Settings.model_fields.items():
        assert f"`INVENTORY_{name.upper()}`" in text
        assert field.description
    assert "`inventory_lag` | gauge | topic, partition |" in metrics_table()
    assert "inventory_dead_letters_total" in metrics_table()


def test_tables_are_put_between_their_marks_and_nothing_else_changes() -> None:
    marks = "".join(
        f"# {name}\n<!-- {name}: made by inventory.generate -->\nstale\n<!-- {name}: end -->\n"
        for name in ("settings", "workers", "metrics")
    )
    page = filled(f"before\n{marks}after\n")
    assert page.startswith("before\n# settings\n")
    assert page.endswith("<!-- metrics: end -->\nafter\n")
    assert "stale" not in page
    assert all(f"`inventory run {worker.name}`" in page for worker in WORKERS)
    assert filled(page) == page


def test_a_page_without_marks_is_not_written_over() -> None:
    with pytest.raises(Mismatch, match="settings"):
        filled("# Operations\n")


def test_bars_in_cells_do_not_end_the_cell() -> None:
    assert table(("key", "why"), [("sku|location", "x")]).splitlines()[2] == (
        r"| sku\|location | x |"
    )
