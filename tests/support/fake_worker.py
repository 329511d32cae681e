"""A worker that does as it is told: `-m tests.support.fake_worker KIND`, see `KINDS`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

EXIT_UNAVAILABLE = 69


def tell(*, lag: int = 0, problem: str = "", at: int = 7) -> None:
    file = Path(os.environ["INVENTORY_STATUS_FILE"])
    fresh = file.with_suffix(".new")
    status = {
        "worker": "fake",
        "pid": os.getpid(),
        "ready": True,
        "problem": problem,
        "lag": lag,
        "positions": {"orders/0": at},
        "written_at": time.time(),
    }
    fresh.write_text(json.dumps(status))
    fresh.replace(file)


def good() -> None:
    """Ready, nothing to do, ends when asked."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        tell()
        time.sleep(0.2)


def choking() -> None:
    """Ends at the same offset again and again."""
    tell(lag=1)
    print(json.dumps({"event": "fold_failed", "error": "cannot digest the record"}))
    sys.exit(1)


def moving() -> None:
    """Ends again and again, but gets further each time."""
    tell(lag=1, at=time.monotonic_ns())
    sys.exit(1)


def lonely() -> None:
    """Says that a server is away."""
    tell(lag=1)
    sys.exit(EXIT_UNAVAILABLE)


def frozen() -> None:
    """Lives, and says nothing more."""
    tell(lag=1)
    time.sleep(3600)


def deaf() -> None:
    """Does not end when asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        tell()
        time.sleep(0.2)


KINDS = {kind.__name__: kind for kind in (good, choking, moving, lonely, frozen, deaf)}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
