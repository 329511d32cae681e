"""What the topics say: ledgers as they stand, facts summed up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from inventory.reconciling.figures import Figures, Place, Sold, Standing, Stock
from runtime.codec import decode_state
from runtime.partitions import partition_count
from runtime.reading import read_to_end
from runtime.settings import Settings
from schemas.events.orders import OrderState, SalesRecorded
from schemas.events.positions import POSITION_PREFIX
from schemas.events.stock import StockLevel, StockMoved
from schemas.topics import ORDER_STATES, SALES, STOCK_LEVELS, STOCK_MOVEMENTS, Topic

Reached = dict[tuple[str, int], int]
"""(topic, partition) -> the offset after its last record."""

_decode_moved = msgspec.json.Decoder(StockMoved).decode
_decode_sales = msgspec.json.Decoder(SalesRecorded).decode


async def read_topics(settings: Settings) -> tuple[Figures, Reached]:
    """The figures of the topics, and how far each was read."""
    reached: Reached = {}
    levels = await _latest(settings, STOCK_LEVELS, reached)
    orders = await _latest(settings, ORDER_STATES, reached)
    sums: dict[Place, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    await _read(settings, STOCK_MOVEMENTS, reached, lambda records: _add_moved(records, sums))
    sold: dict[str, list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    await _read(settings, SALES, reached, lambda records: _add_sold(records, sold))
    figures = Figures(
        "topics",
        levels={
            (level.sku, level.location_id): Stock(
                level.on_hand, level.reserved, level.in_transit, level.version
            )
            for level in levels
            if isinstance(level, StockLevel)
        },
        facts={place: Stock(*values) for place, values in sums.items()},
        reserved=_reserved(orders),
        sold={currency: Sold(*values) for currency, values in sold.items()},
        orders={order.order_id: Standing(order.status, order.version) for order in orders},
    )
    return figures, reached


async def _latest(settings: Settings, ledger: Topic, reached: Reached) -> list[Any]:
    raw: dict[bytes, bytes | None] = {}

    def take(records: Sequence[Any]) -> None:
        for record in records:
            raw[record.key] = record.value

    await _read(settings, ledger, reached, take)
    return [
        decode_state(ledger, value)
        for key, value in raw.items()
        if value is not None and not key.startswith(POSITION_PREFIX.encode())
    ]


async def _read(
    settings: Settings,
    topic: Topic,
    reached: Reached,
    take: Callable[[Sequence[Any]], None],
) -> None:
    count = partition_count(topic, settings.sku_partitions, settings.order_partitions)

    def take_all(records: Sequence[Any]) -> None:
        reached[topic.name, records[0].partition] = records[-1].offset + 1
        take(records)

    await read_to_end(settings, topic, dict.fromkeys(range(count), 0), take_all)


def _reserved(orders: list[OrderState]) -> dict[Place, int]:
    held: dict[Place, int] = defaultdict(int)
    for order in orders:
        for line in order.lines:
            if not line.service:
                for part in line.parts:
                    held[line.sku, part.location_id] += part.quantity
    return dict(held)


def _add_moved(records: Sequence[Any], sums: dict[Place, list[int]]) -> None:
    for record in records:
        moved = _decode_moved(record.value)
        for movement in moved.movements:
            total = sums[moved.sku, movement.location_id]
            total[0] += movement.on_hand_delta
            total[1] += movement.reserved_delta
            total[2] += movement.in_transit_delta
            total[3] += 1


def _add_sold(records: Sequence[Any], sold: dict[str, list[Any]]) -> None:
    for record in records:
        sales = _decode_sales(record.value)
        total = sold[sales.currency]
        for line in sales.lines:
            total[0] += 1
            total[1] += line.quantity
            total[2] += line.amount
