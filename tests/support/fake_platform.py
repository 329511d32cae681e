"""A supervisor with the real servers and fake workers: `-m tests.support.fake_platform KIND...`."""

from __future__ import annotations

import sys

from inventory.embedded.main import supervise
from runtime.errors import InventoryError
from runtime.topic_admin import create_topics

FAKE_WORKER = (sys.executable, "-m", "tests.support.fake_worker")


def main() -> int:
    workers = {kind: [*FAKE_WORKER, kind] for kind in sys.argv[1:]}
    try:
        return supervise(workers, create_topics)
    except InventoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
