"""Load for the stock fold, worker processes to kill, and a check that shares none of its rules.

The check reads topics alone: what was accepted, what became of it, what the ledger says.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from runtime.clock import now
from runtime.kafka import publisher
from runtime.partitions import partition_count
from runtime.reading import read_to_end
from runtime.settings import Settings
from schemas.events.stock import AdjustStock, ReceiveStock, SellStock
from schemas.topics import (
    DEAD_LETTERS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
    STOCK_MOVEMENTS,
    Topic,
)
from tests.support.poison import poisons
from tests.support.waiting import eventually


@dataclass
class Worker:
    """One process of a fold, under a name that lasts."""

    fold: str
    settings: Settings
    folder: Path
    name: str
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, static: bool = True) -> None:
        environment = {
            **os.environ,
            "INVENTORY_KAFKA": self.settings.kafka,
            "INVENTORY_STATUS_FILE": str(self.status_file),
        }
        if static:
            environment["INVENTORY_INSTANCE"] = self.name
        self.status_file.unlink(missing_ok=True)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fold_worker", self.fold, *options],
                env=environment,
                stdout=log,
                stderr=log,
            )

    @property
    def status_file(self) -> Path:
        return self.folder / f"{self.name}.json"

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def ended(self, seconds: float = 60.0) -> int:
        """Its exit code, once it has ended by itself."""
        process = self.process
        assert process is not None
        await eventually(lambda: process.poll() is not None, f"{self.name} ends", seconds)
        return int(process.returncode)

    async def ready(self, seconds: float = 60.0) -> None:
        def is_ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-3000:]
            return self.status_file.exists() and bool(
                msgspec.json.decode(self.status_file.read_bytes())["ready"]
            )

        await eventually(is_ready, f"{self.name} is ready", seconds)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()


@dataclass
class Load:
    """Publishes commands and some poison; remembers what stock must come to.

    Every tenth receipt is sent twice, as a client does that lost the answer.
    """

    settings: Settings
    seed: int
    skus: int = 200
    published: int = 0
    poison: int = 0
    expected: Counter[str] = field(default_factory=Counter)
    facts: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        small = [poison for poison in poisons("SKU-0") if len(poison.body or b"") < 10_000]
        self._poisons = [poison for poison in small if poison.topic is STOCK_COMMANDS]

    async def publish(self, count: int, with_poison: bool = False) -> None:
        async with publisher(self.settings, "/test", linger_ms=5) as sender:
            sends = []
            for _ in range(count):
                for event in self._events():
                    sends.append(await sender.send_soon(STOCK_COMMANDS, event))
                if with_poison and self._random.random() < 0.02:
                    self.poison += 1
                    poison = self._random.choice(self._poisons)
                    sends.append(await sender.send_raw(poison.topic, poison.key, poison.body))
            await asyncio.gather(*sends)

    def _sku(self) -> str:
        return f"SKU-{self._random.randrange(self.skus)}"

    def _events(self) -> Sequence[Any]:
        self.published += 1
        sku, at = self._sku(), now()
        fields = {"id": f"c{self.seed}/{self.published}", "sku": sku, "occurred_at": at}
        kind = self._random.random()
        quantity = self._random.randint(1, 9)
        self.facts += 1
        if kind < 0.8:
            self.expected[sku] -= quantity
            order = {"order_id": f"o{self.published}", "line_no": 1}
            return [SellStock(**fields, **order, quantity=quantity, location_id="cairo-1")]
        if kind < 0.9:
            self.expected[sku] += quantity
            return [AdjustStock(**fields, delta=quantity, reason="found", location_id="cairo-1")]
        self.expected[sku] += quantity
        receipt = ReceiveStock(**fields, quantity=quantity, location_id="cairo-1")
        return [receipt, receipt] if self.published % 10 == 0 else [receipt]


async def read_bodies(settings: Settings, topic: Topic) -> list[Any]:
    """Records of a topic as (key, decoded JSON, headers)."""
    found: list[Any] = []

    def take(records: Sequence[Any]) -> None:
        found.extend(records)

    count = partition_count(topic, settings.sku_partitions, settings.order_partitions)
    await read_to_end(settings, topic, dict.fromkeys(range(count), 0), take)
    return found


@dataclass(frozen=True)
class Verdict:
    """What is wrong, by kind; all empty when everything was counted once."""

    wrong_levels: list[str]
    wrong_facts: list[str]
    version_gaps: list[str]
    facts: int
    dead_letters: int

    @property
    def clean(self) -> bool:
        return not (self.wrong_levels or self.wrong_facts or self.version_gaps)


async def judge(settings: Settings, load: Load) -> Verdict:
    """Compare the topics with what was accepted."""
    versions: dict[str, list[int]] = defaultdict(list)
    sums: Counter[str] = Counter()
    facts = 0
    for record in await read_bodies(settings, STOCK_MOVEMENTS):
        body = msgspec.json.decode(record.value)
        for movement in body["movements"]:
            facts += 1
            sums[body["sku"]] += movement["on_hand_delta"]
            versions[body["sku"]].append(movement["version"])
    levels: dict[str, int] = {}
    for record in await read_bodies(settings, STOCK_LEVELS):
        body = msgspec.json.decode(record.value)
        if body["type"] == "level":
            levels[body["sku"]] = body["on_hand"]
    letters = {
        tuple(sorted((name, value) for name, value in record.headers if name in IDENTITY))
        for record in await read_bodies(settings, DEAD_LETTERS)
    }
    expected = load.expected
    return Verdict(
        wrong_levels=[sku for sku in expected if levels.get(sku) != expected[sku]],
        wrong_facts=[sku for sku in expected if sums[sku] != expected[sku]],
        version_gaps=[
            sku for sku, seen in versions.items() if seen != list(range(1, len(seen) + 1))
        ],
        facts=facts,
        dead_letters=len(letters),
    )


IDENTITY = ("dl_topic", "dl_partition", "dl_offset")


async def settled(settings: Settings, load: Load, seconds: float = 90.0) -> Verdict:
    """The verdict once every command is through; what is wrong by then stays wrong."""

    async def through() -> Verdict | None:
        verdict = await judge(settings, load)
        done = verdict.facts >= load.facts and verdict.dead_letters >= load.poison
        return verdict if done else None

    verdict: Verdict = await eventually(through, "all commands are folded", seconds, every=1.0)
    return verdict
