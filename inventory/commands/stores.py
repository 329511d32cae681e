"""Read-only ways into the two stores, with their errors in one sentence."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import asyncpg

from runtime.errors import InventoryError, Unavailable
from runtime.settings import Settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

STATEMENT_SECONDS = 60
CONNECT_SECONDS = 5
ERROR_LENGTH_MAX = 300
_CLICKHOUSE_SENTENCE = re.compile(r"DB::Exception: (.+?)(?:\. \([A-Z_]+\))? \(version ", re.DOTALL)


@asynccontextmanager
async def postgres(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to PostgreSQL that cannot change anything.

    Raises Unavailable where nobody answers, InventoryError with PostgreSQL's words where a
    statement inside is refused.
    """
    address = settings.need("postgres")
    try:
        connection = await asyncpg.connect(
            address,
            timeout=CONNECT_SECONDS,
            server_settings={
                "default_transaction_read_only": "on",
                "statement_timeout": str(STATEMENT_SECONDS * 1000),
                "application_name": "inventory shell",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise _away("PostgreSQL", address, error) from error
    try:
        yield connection
    except asyncpg.PostgresError as error:
        hint = f" {error.hint}" if getattr(error, "hint", None) else ""
        raise InventoryError(
            f"PostgreSQL refused: {first_line(str(error))}.{hint}", remedy=_remedy(error)
        ) from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise _away("PostgreSQL", address, error) from error
    finally:
        await connection.close()


def _remedy(error: asyncpg.PostgresError) -> str:
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return "The shell only reads: changes are events; see 'inventory stock' and 'order'."
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedFunctionError):
        return "If the schema is missing, 'inventory migrate' makes it."
    return ""


@contextmanager
def clickhouse(settings: Settings) -> Iterator[Client]:
    """A client of ClickHouse that may only read: the analysts' user.

    Raises Unavailable where nobody answers, InventoryError with ClickHouse's words where a
    query inside is refused.
    """
    # Late, because it costs every other command 0.1 s.
    import clickhouse_connect  # noqa: PLC0415
    from clickhouse_connect.driver.exceptions import (  # noqa: PLC0415
        ClickHouseError,
        OperationalError,
    )

    address = settings.need("clickhouse_analyst")
    parts = urlsplit(address)
    try:
        client = clickhouse_connect.get_client(
            host=parts.hostname or "",
            port=parts.port or 8123,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "default",
            secure=parts.scheme == "https",
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=STATEMENT_SECONDS,
        )
    except (OperationalError, OSError) as error:
        raise _away("ClickHouse", address, error) from error
    except ClickHouseError as error:
        raise InventoryError(
            f"ClickHouse refused: {_clickhouse_words(str(error))}.",
            remedy="'inventory config show' tells which address is used.",
        ) from error
    try:
        yield client
    except OperationalError as error:
        raise _away("ClickHouse", address, error) from error
    except ClickHouseError as error:
        raise InventoryError(f"ClickHouse refused: {_clickhouse_words(str(error))}.") from error
    finally:
        client.close()


def _clickhouse_words(text: str) -> str:
    """ClickHouse's own sentence, without what the client wraps it in."""
    found = _CLICKHOUSE_SENTENCE.search(text)
    return first_line(found[1] if found else text)


def first_line(text: str) -> str:
    """The part of a server's error that says what is wrong."""
    line = text.strip().partition("\n")[0].rstrip(".")
    return line if len(line) <= ERROR_LENGTH_MAX else f"{line[:ERROR_LENGTH_MAX]}…"


def named_query(store: str, name: str) -> str:
    """The SQL in `schemas/<store>/queries/<name>.sql`."""
    folder = resources.files(f"schemas.{store}").joinpath("queries")
    return folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _away(store: str, address: str, error: Exception) -> Unavailable:
    parts: Any = urlsplit(address)
    said = "connection refused" if "refused" in str(error) else first_line(str(error))
    return Unavailable(
        f"{store} does not answer at {parts.hostname}:{parts.port}: {said}.",
        remedy="'inventory status' says what runs; 'inventory up' starts it.",
    )
