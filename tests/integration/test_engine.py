"""The engine against a real broker: what must stop it, and what must not."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest

from runtime.kafka import client_options, new_consumer
from runtime.settings import Settings
from runtime.topic_admin import create_topics
from schemas.topics import PRODUCTS, STOCK_COMMANDS, STOCK_LEVELS, STOCK_MOVEMENTS
from stream_processors.engine.fold import EXIT_FAILED
from tests.support.broker import Broker
from tests.support.folding import Load, Worker, read_bodies, settled
from tests.support.waiting import eventually


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    broker = Broker(tmp_path / "broker")
    await broker.start_with_topics()
    yield broker.settings()
    broker.kill()


@pytest.fixture
async def worker(settings: Settings, tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker("stock", settings, tmp_path, "w0")
    yield worker
    worker.kill()


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    yield admin
    await admin.close()


async def committed(settings: Settings) -> dict[int, int | None]:
    consumer = new_consumer(settings, group_id="stock")
    await consumer.start()
    found = {
        number: await consumer.committed(TopicPartition(STOCK_COMMANDS.name, number))
        for number in range(4)
    }
    await consumer.stop()
    return found


async def test_lost_group_offsets_change_nothing(
    settings: Settings, worker: Worker, admin: AIOKafkaAdminClient
) -> None:
    load = Load(settings, seed=21)
    await load.publish(500)
    worker.start()
    await settled(settings, load)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert any((await committed(settings)).values())

    async def deleted() -> bool:
        coordinator = await admin.find_coordinator("stock")
        answer = await admin._send_request_to_node(coordinator, DeleteGroupsRequest(["stock"]))
        return [code for _, code in answer.results] == [0]

    await eventually(deleted, "the group is empty, and deleted")
    assert not any((await committed(settings)).values())

    await load.publish(500)
    worker.start()
    verdict = await settled(settings, load)
    assert verdict.clean, verdict
    assert verdict.facts == load.facts


async def test_offsets_beyond_the_ledger_stop_the_worker(
    settings: Settings, worker: Worker
) -> None:
    load = Load(settings, seed=22)
    await load.publish(100)
    consumer = new_consumer(settings, group_id="stock")
    await consumer.start()
    consumer.assign([TopicPartition(STOCK_COMMANDS.name, 0)])
    await consumer.commit({TopicPartition(STOCK_COMMANDS.name, 0): 5})
    await consumer.stop()
    worker.start()
    assert await worker.ended() == EXIT_FAILED
    assert "records of the ledger are lost" in worker.log()
    assert await read_bodies(settings, STOCK_MOVEMENTS) == []


async def test_an_input_made_anew_stops_the_worker(
    settings: Settings, worker: Worker, admin: AIOKafkaAdminClient
) -> None:
    load = Load(settings, seed=23)
    await load.publish(100)
    worker.start()
    await settled(settings, load)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0

    await admin.delete_topics([PRODUCTS.name])

    async def gone() -> bool:
        return PRODUCTS.name not in await admin.list_topics()

    await eventually(gone, "the topic is gone")
    await create_topics(settings)
    worker.start()
    assert await worker.ended() == EXIT_FAILED
    assert "Topic products was made anew" in worker.log()


async def test_a_refused_send_commits_nothing(
    settings: Settings, worker: Worker, admin: AIOKafkaAdminClient
) -> None:
    """aiokafka would commit the rest: the offset would move on, the ledger record be lost."""
    load = Load(settings, seed=24)
    await load.publish(200)
    await _limit(admin, STOCK_LEVELS.name, "100")
    worker.start()
    assert await worker.ended() == EXIT_FAILED
    assert await read_bodies(settings, STOCK_MOVEMENTS) == []
    assert not any((await committed(settings)).values())

    await _limit(admin, STOCK_LEVELS.name, "1048588")
    worker.start()
    verdict = await settled(settings, load)
    assert verdict.clean, verdict
    assert verdict.facts == load.facts


async def test_the_table_in_memory_is_the_ledger(
    settings: Settings, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_file = tmp_path / "table.json"
    monkeypatch.setenv("TABLE_FILE", str(table_file))
    load = Load(settings, seed=25)
    await load.publish(500)
    worker.start()
    await settled(settings, load)
    worker.kill()
    await load.publish(500)
    worker.start()  # half of it restored, half of it folded
    await settled(settings, load)
    worker.signal(signal.SIGUSR2)
    await eventually(table_file.exists, "the worker has written its table")
    table = msgspec.json.decode(table_file.read_bytes())
    ledger = {
        record.key.decode(): msgspec.json.decode(record.value)
        for record in await read_bodies(settings, STOCK_LEVELS)
        if not record.key.startswith(b"@")
    }
    assert table == ledger
    assert len(ledger) > load.skus


async def _limit(admin: AIOKafkaAdminClient, topic: str, size: str) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": size})
    await admin.alter_configs([resource])
