"""The embedded ClickHouse: chDB in one process that speaks ClickHouse's HTTP protocol.

    python -m inventory.embedded.clickhouse_server --path DIR --port P --credentials FILE

The file says who may come: {"sink": {"user", "password"}, "analyst": {"user", "password"}}.
The sink may do everything, the analyst may read. Only this machine is listened to.
"""

from __future__ import annotations

import argparse
import json
import signal
import socketserver
import sys
import threading
from pathlib import Path

from inventory.embedded.clickhouse_engine import Engine
from inventory.embedded.clickhouse_http import Credentials, Handler
from runtime.errors import InventoryError


class Server(socketserver.ThreadingTCPServer):
    """A thread a connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def read_credentials(path: Path) -> Credentials:
    """Role -> user name and password. Raises InventoryError where the file doesn't say them."""
    try:
        said = json.loads(path.read_text())
        return {
            "sink": (str(said["sink"]["user"]), str(said["sink"]["password"])),
            "analyst": (str(said["analyst"]["user"]), str(said["analyst"]["password"])),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InventoryError(
            f"The credentials file {path} cannot be used: {error!r}",
            remedy='It holds {"sink": {"user", "password"}, "analyst": {"user", "password"}}.',
        ) from error


def serve(folder: Path, port: int, credentials: Credentials) -> None:
    """Answer until SIGTERM or SIGINT. Raises InventoryError where folder or port is taken."""
    bound = type("BoundHandler", (Handler,), {"credentials": credentials})
    try:
        server = Server(("127.0.0.1", port), bound)
    except OSError as error:
        raise InventoryError(
            f"Port {port} cannot be used for ClickHouse: {error.strerror}.",
            remedy="Stop the other program, or take another port.",
        ) from error
    with server:
        engine = Engine(folder)
        bound.engine = engine  # type: ignore[attr-defined]
        for number in (signal.SIGTERM, signal.SIGINT):
            # `shutdown` waits for the loop that this very thread runs.
            signal.signal(
                number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
            )
        server.serve_forever(poll_interval=0.1)
        engine.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="ClickHouse's engine behind its HTTP protocol")
    parser.add_argument("--path", type=Path, required=True, help="folder of the data")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--credentials", type=Path, required=True, help="JSON file, mode 0600")
    options = parser.parse_args()
    try:
        serve(options.path.absolute(), options.port, read_credentials(options.credentials))
    except InventoryError as error:
        print(f"{error} {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
