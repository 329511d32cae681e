"""What a null body on a compacted topic does: its key is deleted."""

from __future__ import annotations

from collections.abc import Callable

from schemas import topics
from schemas.arrivals import Arrival
from sinks.postgres.batch import Batch
from sinks.postgres.rows import OVERRIDE, REORDER_POINT
from sinks.postgres.tables import BY_NAME, ProductRow

Deletion = Callable[[Batch, str, Arrival], None]


def _retire_product(batch: Batch, sku: str, at: Arrival) -> None:
    row = ProductRow(sku, retired=True, version=at.offset, recorded_at=at.recorded_at)
    batch.put("products", row)


def _empty(table: str) -> Deletion:
    """Others refer to the row, so it stays: its key and nothing else."""

    def empty(batch: Batch, key: str, at: Arrival) -> None:
        row = BY_NAME[table].row
        batch.put(table, row(key, version=at.offset, recorded_at=at.recorded_at))

    return empty


def _remove(table: str, *more_key: str) -> Deletion:
    """Nothing refers to the row: it goes."""

    def remove(batch: Batch, key: str, _at: Arrival) -> None:
        batch.rows[table][(*key.split("|"), *more_key)] = None

    return remove


def _keep(_batch: Batch, _key: str, _at: Arrival) -> None:
    """What an order was is on the kept topics; a fold that forgets it changes nothing."""


DELETIONS: dict[str, Deletion] = {
    topics.PRODUCTS.name: _retire_product,
    topics.LOCATIONS.name: _empty("locations"),
    topics.SUPPLIERS.name: _empty("suppliers"),
    topics.CUSTOMERS.name: _empty("customers"),
    topics.ORDER_STATES.name: _keep,
    topics.STOCK_LEVELS.name: _remove("inventory"),
    topics.REORDER_POINTS.name: _remove("thresholds", REORDER_POINT),
    topics.THRESHOLD_OVERRIDES.name: _remove("thresholds", OVERRIDE),
    topics.ALERT_STATES.name: _remove("alerts"),
    topics.IMPORTS.name: _remove("imports"),
}
"""Compacted topic -> what a null body does to the rows of its key."""
