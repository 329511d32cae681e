"""Runs a real fold that ends, freezes or dawdles at a named step of its transaction.

    python -m tests.support.fold_worker stock --at acknowledged --nth 3 --how kill

Steps: begun, sent, acknowledged, offsets, committed (`stream_processors.engine.transaction`).
On SIGUSR2 it writes its Faust table, as it stands in memory, to the path in TABLE_FILE.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

from runtime.codec import encode
from runtime.logs import configure_logs
from runtime.settings import load_settings
from stream_processors.alerts import agent as alerts
from stream_processors.engine.app import run_fold
from stream_processors.engine.table import FoldTable
from stream_processors.orders import agent as orders
from stream_processors.stock import agent as stock

DAWDLE_SECONDS = 0.3


def write_table_on_signal() -> None:
    """The table is the engine's own; its constructor tells us which."""
    tables: list[FoldTable] = []
    make = FoldTable.__init__

    def remember(table: FoldTable, *args: Any, **kwargs: Any) -> None:
        make(table, *args, **kwargs)
        tables.append(table)

    def write(*_signal: Any) -> None:
        path = Path(os.environ["TABLE_FILE"])
        fresh = path.with_suffix(".new")
        fresh.write_bytes(encode(dict(tables[0])))
        fresh.replace(path)

    FoldTable.__init__ = remember  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR2, write)


def main() -> None:
    write_table_on_signal()
    parser = argparse.ArgumentParser()
    parser.add_argument("fold", choices=["orders", "stock", "alerts"])
    parser.add_argument("--at", default="")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--how", choices=["kill", "freeze", "dawdle"], default="kill")
    options = parser.parse_args()
    settings = load_settings()
    configure_logs(settings, options.fold)
    specs = {"orders": orders.SPEC, "stock": stock.SPEC, "alerts": alerts.spec(settings)}
    passed = 0

    def on_step(step: str) -> None:
        nonlocal passed
        if step != options.at:
            return
        passed += 1
        if options.how == "dawdle":
            time.sleep(DAWDLE_SECONDS)
        elif passed == options.nth:
            os.kill(os.getpid(), signal.SIGSTOP if options.how == "freeze" else signal.SIGKILL)

    run_fold(specs[options.fold], settings, on_step)


if __name__ == "__main__":
    main()
