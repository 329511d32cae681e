"""A supervisor with the real servers, topics and tables, but no workers."""

from __future__ import annotations

import sys

from inventory.embedded.main import supervise

if __name__ == "__main__":
    sys.exit(supervise({}))
