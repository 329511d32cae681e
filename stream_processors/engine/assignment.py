"""Carries Faust's assignments over to the fold, and watches how far it is."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import faust
from faust.types import TP

from runtime.errors import Mismatch
from runtime.health import Health
from runtime.logs import get_logger
from schemas.topics import Topic
from stream_processors.engine.fold import Fold
from stream_processors.engine.transport import ChunkConsumer

log = get_logger(__name__)
WATCH_SECONDS = 1.0


class Assignment:
    """What the consumer group has given to this process.

    Faust's callback must not wait for the fold: heartbeats of a first assignment begin after it.
    """

    def __init__(
        self, app: faust.App, fold: Fold, inputs: tuple[Topic, ...], health: Health
    ) -> None:
        self._app = app
        self._fold = fold
        self._inputs = inputs
        self._health = health
        self._opening: asyncio.Task[None] | None = None

    @property
    def _consumer(self) -> ChunkConsumer:
        return cast(ChunkConsumer, self._app.consumer)

    async def on_revoked(self, _app: Any, *_revoked: Any, **_signal: Any) -> None:
        self._health.ready(False)

    async def on_assigned(self, _app: Any, *assigned: Any, **_signal: Any) -> None:
        generation = self._app.consumer_generation_id
        self._opening = asyncio.create_task(self._open(assigned[0], generation))

    async def _open(self, assigned: set[TP], generation: int) -> None:
        try:
            numbers = self._numbers(assigned)
            positions = await self._fold.assign(
                numbers, lambda: bool(self._app.consumer_generation_id == generation)
            )
            if await self._consumer.open(positions, generation):
                self._health.ready(True)
                log.info("assigned", partitions=sorted(numbers))
        except Exception as error:  # noqa: BLE001 - a partition half taken over must not be used
            self._fold.fail("Partitions could not be taken over", error)

    def _numbers(self, assigned: set[TP]) -> set[int]:
        """The partition numbers; each must come with all inputs, or joins would miss records."""
        numbers = {tp.partition for tp in assigned}
        expected = {TP(topic.name, number) for topic in self._inputs for number in numbers}
        if expected != assigned:
            raise Mismatch(
                f"The group's assignment is not co-partitioned: {sorted(expected ^ assigned)}.",
                remedy="All inputs of a fold need the same number of partitions.",
            )
        return numbers

    async def watch(self) -> None:
        """Report positions and lags once a second; end the process when Faust has crashed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._app.crashed:
                self._fold.fail("Faust has stopped working", self._app.crash_reason)
            consumer = self._consumer
            for tp, (position, end) in (await consumer.ends()).items():
                following = self._fold.next_of(tp)
                if following is None:
                    continue
                # Behind the last record there may be transaction markers, which are no work.
                idle = position >= end and not consumer.has_waiting(tp)
                lag = 0 if idle else max(0, end - following)
                self._health.moved(tp.topic, tp.partition, following, lag)
