"""What bad input gets: a dead letter with its reason, and nothing else stops or is lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from inventory.commands.stores import postgres
from runtime.kafka import Publisher, new_producer
from runtime.partitions import partition_of
from runtime.settings import Settings
from schemas.topics import DEAD_LETTERS, STOCK_COMMANDS
from tests.support.folding import read_bodies
from tests.support.poison import Poison, poisons, receipt
from tests.support.waiting import eventually


@pytest.fixture
async def producer(whole_platform: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = new_producer(whole_platform)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def sku() -> str:
    return f"POISON-{uuid.uuid4().hex[:8].upper()}"


async def letters(settings: Settings) -> dict[tuple[str, int, int], tuple[str, bytes | None]]:
    """(topic, partition, offset) -> (reason, the original bytes)."""
    found = {}
    for record in await read_bodies(settings, DEAD_LETTERS):
        headers = dict(reversed(record.headers))
        at = (
            headers["dl_topic"].decode(),
            int(headers["dl_partition"]),
            int(headers["dl_offset"]),
        )
        found[at] = (headers["dl_reason"].decode(), record.value)
    return found


async def inventory(settings: Settings, *words: str) -> str:
    """What a command says; it must not fail."""
    command = [sys.executable, "-m", "inventory.main", *words]
    environment = {**os.environ, "INVENTORY_STATE": str(settings.state_dir)}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


async def on_hand(settings: Settings, sku: str) -> int | None:
    async with postgres(settings) as connection:
        level: int | None = await connection.fetchval(
            "SELECT sum(on_hand)::bigint FROM inventory WHERE sku = $1", sku
        )
        return level


async def test_every_kind_of_bad_record_becomes_a_dead_letter_and_the_partition_goes_on(
    whole_platform: Settings, producer: AIOKafkaProducer, sku: str
) -> None:
    publisher = Publisher(whole_platform, "/test", producer)
    sent: dict[tuple[str, int, int], Poison] = {}
    for poison in poisons(sku):
        future = await publisher.send_raw(poison.topic, poison.key, poison.body)
        receipt_ = await publisher.delivered(future)
        sent[receipt_.topic, receipt_.partition, receipt_.offset] = poison
    good = receipt(sku, id=f"good/{sku}")
    await publisher.delivered(await publisher.send_raw(STOCK_COMMANDS, sku, _json(good)))

    async def all_dead() -> bool:
        return sent.keys() <= (await letters(whole_platform)).keys()

    await eventually(all_dead, "all are dead letters")
    found = await letters(whole_platform)
    assert {poison.what: found[at][0] for at, poison in sent.items()} == {
        poison.what: poison.reason for poison in sent.values()
    }
    for at, poison in sent.items():
        assert found[at][1] == poison.body, poison.what

    async def applied() -> bool:
        return await on_hand(whole_platform, sku) == 5

    await eventually(applied, "the good command behind them is applied")


async def test_a_record_in_the_wrong_partition_is_put_right_by_a_retry_and_counts_once(
    whole_platform: Settings, producer: AIOKafkaProducer, sku: str
) -> None:
    wrong = (partition_of(sku, whole_platform.sku_partitions) + 1) % whole_platform.sku_partitions
    body = _json(receipt(sku))
    sent = await producer.send_and_wait(STOCK_COMMANDS.name, body, sku.encode(), partition=wrong)
    at = (sent.topic, sent.partition, sent.offset)

    async def dead() -> bool:
        return (await letters(whole_platform)).get(at) == ("wrong_partition", body)

    await eventually(dead, "it is a dead letter")
    assert await on_hand(whole_platform, sku) is None
    name = f"{sent.topic}/{sent.partition}/{sent.offset}"
    for _ in range(2):
        await inventory(whole_platform, "dead-letters", "retry", name)

        async def applied() -> bool:
            return await on_hand(whole_platform, sku) == 5

        await eventually(applied, "the retried command is applied, once")


async def test_what_the_catalogue_does_not_know_moves_all_the_same_and_is_told(
    whole_platform: Settings, sku: str
) -> None:
    await inventory(
        whole_platform, "stock", "receive", "--location", "nowhere-9", "--item", f"{sku}:3"
    )

    async def applied() -> bool:
        return await on_hand(whole_platform, sku) == 3

    await eventually(applied, "it is received")
    status = json.loads(await inventory(whole_platform, "status", "--json"))
    assert any("without being in the catalogue" in one for one in status["attention"])


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()
