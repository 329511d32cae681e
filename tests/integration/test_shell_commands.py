"""The shell as till, shop and stockroom, with real folds, sinks and stores behind it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from inventory.commands.effects import carry_out
from inventory.main import app
from producers.stockroom import Slip, receive
from runtime.clock import now
from runtime.codec import encode
from runtime.kafka import new_producer
from runtime.own_writes import write_of
from runtime.partitions import partition_of
from runtime.settings import Settings
from schemas.topics import STOCK_COMMANDS

# The stores show a write within a second; busy test machines need longer.
WAIT = ["--wait", "30"]
LIMIT_SECONDS = 60

pytestmark = pytest.mark.usefixtures("whole_platform")


@pytest.fixture
def sku() -> str:
    return f"TEA-{uuid4().hex[:12].upper()}"


@pytest.fixture
def shell(whole_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`inventory ...` in this process."""
    monkeypatch.setenv("INVENTORY_STATE", str(whole_platform.state_dir))

    def run(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        if ok:
            assert result.exit_code == 0, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def answer(shell: Callable[..., Result]) -> Callable[..., Any]:
    """What `inventory ... --json` says."""

    def run(*arguments: str) -> Any:
        return json.loads(shell(*arguments, "--json").stdout)

    return run


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.1)


def test_a_sale_is_in_stock_show_at_once_and_in_both_stores(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    shell("stock", "receive", "--location", "cairo-1", "--item", f"{sku}:12", *WAIT)
    sale = answer("pos", "sale", "--location", "cairo-1", "--item", f"{sku}:4@3.50", *WAIT)
    assert (sale["order"]["status"], sale["in_work"]) == ("done", False)
    assert [(level["sku"], level["on_hand"]) for level in sale["levels"]] == [(sku, 8)]
    (row,) = answer("stock", "show", sku)
    assert (row["on_hand"], row["available"], row["unknown_product"]) == (8, 8, True)
    sql = f"SELECT sum(on_hand) AS n FROM stock_levels WHERE sku = '{sku}'"
    until(lambda: answer("query", "clickhouse", sql) == [{"n": 8}])
    csv = shell(
        "query", "postgres", f"SELECT on_hand FROM stock_levels(0) WHERE sku='{sku}'", "--csv"
    )
    assert csv.stdout == "on_hand\n8\n"


def test_the_same_sale_again_counts_once(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    till = ("pos", "sale", "--location", "a", "--order-id", f"till-{sku}", *WAIT)
    answer(*till, "--item", f"{sku}:1@2")
    again = answer(*till, "--item", f"{sku}:1@2.00")
    assert again["repeated"]
    other = shell(*till, "--item", f"{sku}:2@2", ok=False)
    assert "order_conflict" in str(other.exception)
    assert answer("stock", "show", sku)[0]["on_hand"] == -1


def test_an_order_from_placement_to_return(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    for place, units in (("a", 2), ("b", 5)):
        shell("stock", "receive", "--location", place, "--item", f"{sku}:{units}", *WAIT)
    placed = answer("order", "place", "--item", f"{sku}:6@2", "--ship-from", "a,b", *WAIT)
    order_id = placed["order_id"]
    assert placed["order"]["status"] == "reserved"
    (line,) = placed["order"]["lines"]
    assert sum(part["quantity"] for part in line["reserved"]) == 6

    refused = shell("order", "place", "--item", f"{sku}:2@2", "--ship-from", "a,b", *WAIT, ok=False)
    assert refused.exit_code == 1
    assert "refused (1 available)" in refused.stdout

    assert answer("order", "pay", order_id, *WAIT)["order"]["status"] == "paid"
    part = answer("order", "ship", order_id, "--line", "1:2", *WAIT)
    assert part["order"]["status"] == "part_shipped"
    assert answer("order", "ship", order_id, *WAIT)["order"]["status"] == "shipped"
    back = answer("order", "return", order_id, "--item", f"{sku}:3", "--location", "a", *WAIT)
    assert back["order"]["lines"][0]["returned"] == 3
    rows = answer("stock", "show", sku)
    assert sum(row["on_hand"] for row in rows) == 2 + 5 - 6 + 3
    assert sum(row["reserved"] for row in rows) == 0
    money = "SELECT sum(amount) AS gave FROM sales WHERE quantity < 0 AND sku = "
    assert answer("query", "postgres", money + f"'{sku}'") == [{"gave": "-6.0000"}]
    cancelled = shell("order", "cancel", order_id, *WAIT, ok=False)
    assert "already_shipped" in str(cancelled.exception)


def test_a_cancelled_order_gives_its_stock_back(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    shell("stock", "receive", "--location", "a", "--item", f"{sku}:2", *WAIT)
    order_id = answer("order", "place", "--item", f"{sku}:2@2", *WAIT)["order_id"]
    cancelled = answer("order", "cancel", order_id, "--reason", "called us", *WAIT)
    assert cancelled["order"]["status"] == "cancelled"
    assert answer("stock", "show", sku)[0]["reserved"] == 0
    assert answer("order", "show", order_id)["status"] == "cancelled"


def test_a_transfer_is_in_transit_until_received(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    shell("stock", "receive", "--location", "a", "--item", f"{sku}:5", *WAIT)
    moved = answer("stock", "transfer", "--from", "a", "--to", "b", "--item", f"{sku}:3", *WAIT)
    assert {level["location_id"]: level["in_transit"] for level in moved["levels"]} == {
        "a": 0,
        "b": 3,
    }
    arrived = ("stock", "receive", "--location", "b", "--item", f"{sku}:3")
    (level,) = answer(*arrived, "--transfer", moved["transfer_id"], *WAIT)["levels"]
    assert (level["on_hand"], level["in_transit"]) == (3, 0)


def test_counts_and_adjustments(
    shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    shell("stock", "receive", "--location", "a", "--item", f"{sku}:5", *WAIT)
    adjust = ("stock", "adjust", "--location", "a", "--reason", "broken")
    assert answer(*adjust, "--item", f"{sku}:-1", *WAIT)["levels"][0]["on_hand"] == 4
    count = ("stock", "count", "--location", "a")
    assert answer(*count, "--item", f"{sku}:9", *WAIT)["levels"][0]["on_hand"] == 9
    assert answer("stock", "show", sku)[0]["counted_at"] is not None


def test_a_count_from_long_ago_becomes_an_adjustment(
    whole_platform: Settings, shell: Callable[..., Result], answer: Callable[..., Any], sku: str
) -> None:
    for hours, units in ((2, 5), (0, 3)):
        slip = Slip(str(uuid4()), now() - timedelta(hours=hours))
        command = write_of(STOCK_COMMANDS, receive(slip, 1, "a", sku, units), "/test")
        assert asyncio.run(carry_out(whole_platform, [command], 30)).done
    count = ("stock", "count", "--location", "a", "--item", f"{sku}:4", "--at", "3h", *WAIT)
    result = shell(*count)
    assert "the books said 0 then; adjusted by +4" in result.stderr
    assert answer("stock", "show", sku)[0]["on_hand"] == 12
    assert "nothing changes" in shell(*count).stderr
    assert answer("stock", "show", sku)[0]["on_hand"] == 12


def test_low_stock_is_followed_and_answered(
    whole_platform: Settings, shell: Callable[..., Result], answer: Callable[..., Any],
    sku: str, tmp_path: Path,
) -> None:  # fmt: skip
    seen = tmp_path / "seen"
    environment = {**os.environ, "INVENTORY_STATE": str(whole_platform.state_dir)}
    with seen.open("wb") as out:
        follower = subprocess.Popen(
            [sys.executable, "-m", "inventory.main", "alerts", "--follow", "--json"],
            env=environment,
            stdout=out,
            stderr=subprocess.PIPE,
        )
    try:
        assert follower.stderr is not None
        assert b"Following" in follower.stderr.readline()
        shell("stock", "receive", "--location", "a", "--item", f"{sku}:20", *WAIT)
        shell("pos", "sale", "--location", "a", "--item", f"{sku}:12@1", *WAIT)

        def changes() -> list[Any]:
            lines = [json.loads(line) for line in seen.read_text().splitlines()]
            return [one for one in lines if one["sku"] == sku]

        until(lambda: len(changes()) > 0)
        assert [(one["what"], one["state"], one["level"]) for one in changes()] == [
            ("raised", "low", 8)
        ]
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0

    def listed() -> list[Any]:
        return [row for row in answer("alerts") if row["sku"] == sku]

    until(lambda: len(listed()) == 1)
    assert "acknowledged" in shell("alerts", "ack", sku, "a", *WAIT).stdout
    assert "snoozed until" in shell("alerts", "snooze", sku, "a", "--for", "2h", *WAIT).stdout
    set_by_hand = shell("alerts", "set", sku, "a", "--raise", "3", "--clear", "5", *WAIT)
    assert "raised at 3" in set_by_hand.stdout
    assert answer("stock", "show", sku)[0]["threshold_source"] == "override"
    assert "set by hand" not in shell("alerts", "unset", sku, "a", *WAIT).stdout
    shell("alerts", "resolve", sku, "a", *WAIT)
    until(lambda: not listed())


def test_refused_records_are_listed_shown_mended_and_sent_again(
    whole_platform: Settings, shell: Callable[..., Result], answer: Callable[..., Any],
    sku: str, tmp_path: Path,
) -> None:  # fmt: skip
    good = encode(receive(Slip(f"s-{sku}", now()), 1, "a", sku, 5))
    right = partition_of(sku, whole_platform.sku_partitions)
    bodies = [(good, (right + 1) % whole_platform.sku_partitions), (good[:-9], right)]
    asyncio.run(publish_raw(whole_platform, sku, bodies))

    def mine() -> dict[str, Any]:
        letters = answer("dead-letters", "list", "--last", "1000")
        return {one["reason"]: one for one in letters if one["key"] == sku}

    until(lambda: len(mine()) == 2)
    misplaced, broken = mine()["wrong_partition"]["id"], mine()["not_json"]["id"]
    assert answer("dead-letters", "show", misplaced)["body"] == good.decode()
    assert shell("dead-letters", "show", broken, "--body").stdout_bytes == good[:-9]
    shown = shell("dead-letters", "show", broken).stdout
    assert "not_json" in shown
    assert good[:40].decode() in shown

    assert "1 record sent again" in shell("dead-letters", "retry", misplaced, *WAIT).stdout
    assert answer("stock", "show", sku)[0]["on_hand"] == 5
    hopeless = shell("dead-letters", "retry", broken, ok=False)
    assert "refused again: not_json" in str(hopeless.exception)
    mended = tmp_path / "fixed.json"
    mended.write_bytes(good)
    shell("dead-letters", "retry", misplaced, *WAIT)
    shell("dead-letters", "retry", broken, "--body", str(mended), *WAIT)
    assert answer("stock", "show", sku)[0]["on_hand"] == 5


async def publish_raw(settings: Settings, key: str, bodies: list[tuple[bytes, int]]) -> None:
    """Records as somebody else's broken program would write them."""
    producer = new_producer(settings)
    await producer.start()
    for body, partition in bodies:
        await producer.send_and_wait("stock-commands", body, key.encode(), partition=partition)
    await producer.stop()


def test_what_people_mistype_is_said_in_a_sentence(shell: Callable[..., Result]) -> None:
    for wrong in (
        ("pos", "sale", "--location", "a", "--item", "TEA:0"),
        ("pos", "sale", "--location", "a|b", "--item", "TEA:1"),
        ("stock", "transfer", "--from", "a", "--to", "a", "--item", "TEA:1"),
        ("stock", "adjust", "--location", "a", "--item", "TEA:3", "--reason", "x"),
        ("stock", "show", "NO-SUCH-THING"),
        ("order", "show", "no-such-order"),
        ("order", "place", "--item", "NO-SUCH-THING:1"),
        ("alerts", "set", "TEA", "a", "--raise", "5", "--clear", "5"),
        ("dead-letters", "show", "orders/0/999999"),
        ("query", "clickhouse", "INSERT INTO fact_sales VALUES (1)"),
        ("query", "postgres", "DELETE FROM orders"),
    ):
        result = shell(*wrong, ok=False)
        assert type(result.exception).__name__ in {"InventoryError", "Unavailable"}, wrong
        assert result.exception.remedy or "refused" in str(result.exception)  # type: ignore[union-attr]
