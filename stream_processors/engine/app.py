"""Makes a Faust app of a fold and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import tempfile
from pathlib import Path
from typing import Any, cast

import faust
from faust.app.base import BootStrategy

from runtime.health import Health
from runtime.logs import get_logger
from runtime.partitions import partition_count
from runtime.settings import Settings
from runtime.topic_admin import describe_topics
from stream_processors.engine.assignment import Assignment
from stream_processors.engine.fold import Fold, FoldSpec
from stream_processors.engine.table import FoldTable, NoChangelogs
from stream_processors.engine.transaction import OnStep
from stream_processors.engine.transport import ChunkSchema, ChunkTransport

log = get_logger(__name__)

STOP_SECONDS = 10
# A chunk makes some ten thousand objects that die together, a table millions that live for ever:
# Python's collector, at its defaults, spends a third of the time looking through them.
GC_THRESHOLDS = (50_000, 20, 100)


class _Boot(BootStrategy):
    # The fold's own producers write; Faust's would only hold a connection.
    enable_kafka_producer = False
    enable_web = False


def new_faust_app(spec: FoldSpec, settings: Settings) -> faust.App:
    """A Faust app: one consumer group, and off what the fold does itself."""
    app = faust.App(
        spec.name,
        broker=f"kafka://{settings.need('kafka').split(',')[0]}",
        datadir=Path(tempfile.gettempdir(), "inventory-faust"),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=True,
        stream_buffer_maxsize=8,
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.session_timeout_ms / 4000,
        broker_rebalance_timeout=30.0,
        broker_commit_interval=3600.0,
        consumer_group_instance_id=settings.instance or None,
        TableManager=NoChangelogs,
        boot_strategy=_Boot,
    )
    app.transport = ChunkTransport(app, settings, spec.chunk_max)
    return app


def run_fold(spec: FoldSpec, settings: Settings, on_step: OnStep = lambda _step: None) -> None:
    """Run the fold until SIGTERM or SIGINT. A failure ends the process with an exit code.

    on_step: called with the name of each step of each transaction; for tests that end the
        process right there.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    asyncio.run(_run(spec, settings, on_step))


async def _run(spec: FoldSpec, settings: Settings, on_step: OnStep) -> None:
    health = Health(settings, spec.name)
    topics = await describe_topics(settings, (*spec.inputs, spec.ledger))
    app = new_faust_app(spec, settings)
    count = partition_count(spec.ledger, settings.sku_partitions, settings.order_partitions)
    table = FoldTable(app, name=spec.name, partitions=count)
    fold = Fold(spec, table, settings, topics, health, on_step)
    cast(ChunkTransport, app.transport).quiet = fold.quiet

    async def fold_chunks(chunks: Any) -> None:
        async for chunk in chunks:
            await fold.fold(chunk)

    for topic in spec.inputs:
        channel = app.topic(topic.name, schema=ChunkSchema(), partitions=count)
        name = f"{spec.name}-{topic.name}"
        app.agent(channel, name=name, isolated_partitions=True)(fold_chunks)
    assignment = Assignment(app, fold, spec.inputs, health)
    app.on_partitions_assigned.connect(cast(Any, assignment.on_assigned))
    app.on_partitions_revoked.connect(cast(Any, assignment.on_revoked))

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    watching = asyncio.gather(health.serve(), assignment.watch())
    await app.start()
    await stopping.wait()
    log.info("stops")
    watching.cancel()
    await _stop(app, fold)


async def _stop(app: faust.App, fold: Fold) -> None:
    """Let the transaction in flight end and leave the group; correctness needs neither."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await fold.quiet()
            await app.stop()
    except TimeoutError:
        log.warning("stopped_late")
    os._exit(0)
