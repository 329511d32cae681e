"""The order fold: orders and stock's answers in; order states, stock commands and sales out."""

from __future__ import annotations

from runtime.settings import Settings
from schemas.topics import ALLOCATIONS, ORDER_STATES, ORDERS
from stream_processors.engine.app import run_fold
from stream_processors.engine.fold import FoldSpec
from stream_processors.orders.rules import decide

SPEC = FoldSpec(
    name="orders",
    inputs=(ORDERS, ALLOCATIONS),
    ledger=ORDER_STATES,
    rule=decide,
    # An order may have a thousand lines, each a command: keep the transaction small.
    chunk_max=300,
)


def main(settings: Settings) -> None:
    run_fold(SPEC, settings)
