"""The stock fold under kills, freezes and a dying broker: everything is counted once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.kafka import publisher
from runtime.settings import Settings
from schemas.topics import STOCK_LEVELS
from tests.support.broker import Broker
from tests.support.folding import Load, Worker, read_bodies, settled
from tests.support.waiting import eventually

SESSION_SECONDS = 6.0
# The transaction's time-out, the broker's scan for such, and what reading takes on a busy machine.
READERS_STALL_SECONDS = 12.0 + 3.0
STEPS = ("begun", "sent", "acknowledged", "offsets", "committed")
CHAOS_SECONDS = 60 * float(os.environ.get("CHAOS_MINUTES", "0.5"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path / "broker")
    await broker.start_with_topics()
    yield broker
    broker.kill()


@pytest.fixture
def settings(broker: Broker) -> Settings:
    return broker.settings()


async def test_a_worker_killed_at_each_step_of_its_transaction(
    settings: Settings, tmp_path: Path
) -> None:
    load = Load(settings, seed=11)
    worker = Worker("stock", settings, tmp_path, "w0")
    for step in STEPS:
        await load.publish(400)
        # Four partitions are four transactions at least: the second is there in any case.
        worker.start("--at", step, "--nth", "2")
        assert await worker.ended() == -signal.SIGKILL
    worker.start()
    try:
        verdict = await settled(settings, load)
    finally:
        worker.kill()
    assert verdict.clean, verdict
    assert verdict.facts == load.facts


async def test_a_frozen_owner_wakes_up_fenced(settings: Settings, tmp_path: Path) -> None:
    load = Load(settings, seed=12)
    frozen = Worker("stock", settings, tmp_path, "frozen")
    successor = Worker("stock", settings, tmp_path, "successor")
    await load.publish(500)
    frozen.start("--at", "acknowledged", "--how", "freeze", static=False)
    await eventually(lambda: _is_stopped(frozen), "the worker has frozen in its transaction")
    successor.start(static=False)
    try:
        await successor.ready()
        await load.publish(500)
        before = await settled(settings, load)
        frozen.signal(signal.SIGCONT)
        assert await frozen.ended() > 0, "the old owner must not go on"
        after = await settled(settings, load)
    finally:
        frozen.kill()
        successor.kill()
    assert before.clean, before
    assert after == before


async def test_readers_wait_for_a_frozen_transaction_no_longer_than_its_time_out(
    settings: Settings, tmp_path: Path
) -> None:
    """Nobody takes over: the broker itself must end what a frozen worker left open."""
    load = Load(settings, seed=14)
    frozen = Worker("stock", settings, tmp_path, "frozen")
    await load.publish(500)
    frozen.start("--at", "acknowledged", "--how", "freeze")
    try:
        await eventually(lambda: _is_stopped(frozen), "the worker has frozen in its transaction")
        began = time.monotonic()
        async with publisher(settings, "/test") as sender:
            behind = [
                await sender.delivered(await sender.send_raw(STOCK_LEVELS, f"SKU-{n}|x", b"{}"))
                for n in range(20)
            ]

        async def all_readable() -> bool:
            read = await read_bodies(settings, STOCK_LEVELS)
            return {(one.partition, one.offset) for one in behind} <= {
                (record.partition, record.offset) for record in read
            }

        await eventually(all_readable, "readers see what lies behind", seconds=30)
        waited = time.monotonic() - began
    finally:
        frozen.kill()
    assert waited < READERS_STALL_SECONDS


async def test_rebalances_with_transactions_in_flight(settings: Settings, tmp_path: Path) -> None:
    """The surviving worker dawdles before each commit while others come and go."""
    load = Load(settings, seed=13)
    survivor = Worker("stock", settings, tmp_path, "survivor")
    survivor.start("--at", "offsets", "--how", "dawdle", static=False)
    await survivor.ready()
    try:
        for number in range(3):
            comer = Worker("stock", settings, tmp_path, f"comer-{number}")
            comer.start(static=False)
            publishing = asyncio.create_task(load.publish(2_000))
            await comer.ready()
            comer.signal(signal.SIGTERM)
            assert await comer.ended() == 0
            await publishing
        verdict = await settled(settings, load)
    finally:
        survivor.kill()
    assert verdict.clean, verdict


async def test_kills_freezes_and_a_broken_broker(
    broker: Broker, settings: Settings, tmp_path: Path
) -> None:
    """Two workers, SIGKILL and SIGSTOP beyond the session at random; the broker dies once.

    `make chaos` runs this for as long as asked.
    """
    chance = random.Random(SEED)
    load = Load(settings, seed=SEED)
    workers = [Worker("stock", settings, tmp_path, f"w{number}") for number in range(2)]
    for worker in workers:
        worker.start(static=False)
    kills = freezes = 0
    end = time.monotonic() + CHAOS_SECONDS
    broker_dies_at = time.monotonic() + CHAOS_SECONDS / 2
    try:
        while time.monotonic() < end:
            await load.publish(1_500, with_poison=True)
            victim = chance.choice(workers)
            if chance.random() < 0.75:
                victim.kill()
                kills += 1
            else:
                victim.signal(signal.SIGSTOP)
                await asyncio.sleep(SESSION_SECONDS + chance.uniform(1, 3))
                victim.signal(signal.SIGCONT)
                freezes += 1
            if time.monotonic() > broker_dies_at:
                broker_dies_at = end
                broker.kill()
                await broker.start()
            _start_again(workers)
            await asyncio.sleep(chance.uniform(0.2, 2.0))
        keeper = asyncio.create_task(_keep_running(workers))
        verdict = await settled(settings, load, seconds=120)
        keeper.cancel()
    finally:
        for worker in workers:
            worker.kill()
    print(f"seed {SEED}: {kills} kills, {freezes} freezes, {load.facts} commands: {verdict}")
    assert kills + freezes > 0
    assert verdict.clean, verdict
    assert verdict.facts == load.facts
    assert verdict.dead_letters == load.poison


def _is_stopped(worker: Worker) -> bool:
    assert worker.process is not None
    stat = Path(f"/proc/{worker.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def _start_again(workers: list[Worker]) -> None:
    for worker in workers:
        if worker.process is None or worker.process.poll() is not None:
            worker.start(static=False)


async def _keep_running(workers: list[Worker]) -> None:
    while True:
        _start_again(workers)
        await asyncio.sleep(0.5)
