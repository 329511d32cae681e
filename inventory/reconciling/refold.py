"""Folds all stock commands once more, offline, and compares with the ledger.

Which product record the stock fold had seen when it took a command is not recorded; Kafka's
times tell it well enough. Where product data changed at the very moment of a reservation, the
two may part; then look at the movement's own fact.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from inventory.reconciling.compare import Difference
from inventory.reconciling.figures import Figures, Stock
from runtime.clock import from_millis
from runtime.codec import check_partition, decode
from runtime.partitions import partition_count
from runtime.reading import read_to_end
from runtime.settings import Settings
from schemas.arrivals import Arrival, Refused
from schemas.events.stock import StockLevel
from schemas.topics import BY_NAME, PRODUCTS, STOCK_COMMANDS, Topic
from stream_processors.stock.rules import decide


async def refold(settings: Settings) -> tuple[Figures, int]:
    """The levels that the rules make of all commands, and how many commands there were."""
    count = partition_count(STOCK_COMMANDS, settings.sku_partitions, settings.order_partitions)
    states: dict[str, Any] = {}
    folded = 0
    for partition in range(count):
        products = await _records(settings, PRODUCTS, partition)
        commands = await _records(settings, STOCK_COMMANDS, partition)
        folded += len(commands)
        # Products first where the times are equal: they were published before.
        for record in heapq.merge(products, commands, key=lambda record: record.timestamp):
            _fold(record, count, states)
    figures = Figures("commands folded again")
    for state in states.values():
        if isinstance(state, StockLevel):
            figures.levels[state.sku, state.location_id] = Stock(
                state.on_hand, state.reserved, state.in_transit, state.version
            )
    return figures, folded


def _fold(record: Any, count: int, states: dict[str, Any]) -> None:
    try:
        event = decode(BY_NAME[record.topic], record.key, record.value)
        key = (record.key or b"").decode()
        check_partition(key, record.partition, count)
        at = from_millis(record.timestamp)
        arrival = Arrival(record.topic, record.partition, record.offset, at, key)
        states.update(decide(states.get, event, arrival).states)
    except Refused:
        pass  # the fold refused it too: it is a dead letter


async def _records(settings: Settings, topic: Topic, partition: int) -> list[Any]:
    records: list[Any] = []

    def take(slice_: Sequence[Any]) -> None:
        records.extend(slice_)

    await read_to_end(settings, topic, {partition: 0}, take)
    return records


def differing(topics: Figures, folded: Figures) -> Iterator[Difference]:
    """Places whose level in the ledger isn't what the rules make of the commands."""
    for place in sorted(topics.levels.keys() | folded.levels.keys()):
        kept, made = topics.levels.get(place), folded.levels.get(place)
        if kept != made:
            sides = ((topics.side, str(kept)), (folded.side, str(made)))
            yield Difference("level", " at ".join(place), sides)
