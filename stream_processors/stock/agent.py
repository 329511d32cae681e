"""The stock fold: commands and products in; levels, movement facts and answers out."""

from __future__ import annotations

from runtime.settings import Settings
from schemas.events.stock import StockMoved
from schemas.topics import PRODUCTS, STOCK_COMMANDS, STOCK_LEVELS
from stream_processors.engine.app import run_fold
from stream_processors.engine.fold import FoldSpec
from stream_processors.engine.outcome import Out
from stream_processors.stock.rules import decide


def merge_movements(outs: list[Out]) -> list[Out]:
    """One record a SKU for the movements decided together, in their order; the rest as it is.

    A third of the records under load, and no later than one by one.
    """
    merged: list[Out] = []
    of_sku: dict[str, StockMoved] = {}
    for out in outs:
        event = out.event
        if not isinstance(event, StockMoved):
            merged.append(out)
            continue
        first = of_sku.get(event.sku)
        if first is None:
            of_sku[event.sku] = event
            merged.append(out)
        else:
            first.movements.extend(event.movements)
    return merged


SPEC = FoldSpec(
    name="stock",
    inputs=(STOCK_COMMANDS, PRODUCTS),
    ledger=STOCK_LEVELS,
    rule=decide,
    merge=merge_movements,
)


def main(settings: Settings) -> None:
    run_fold(SPEC, settings)
