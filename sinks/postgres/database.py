"""PostgreSQL as this system reaches it, and which of its errors mean what."""

from __future__ import annotations

from typing import Any

import asyncpg
from asyncpg import exceptions as pg

from runtime.errors import InventoryError, Unavailable
from runtime.settings import Settings

AWAY = (
    OSError,  # no connection; time-outs are among them
    pg.PostgresConnectionError,
    pg.InterfaceError,  # asyncpg's "the connection is closed"
    pg.InternalClientError,
    pg.OperatorInterventionError,  # stopping, starting, crashed
    pg.InsufficientResourcesError,  # disk full, too many connections
    pg.PostgresSystemError,
    pg.ReadOnlySQLTransactionError,  # a standby, until it is promoted
    pg.TransactionTimeoutError,  # this process was frozen meanwhile
    pg.TransactionRollbackError,  # deadlock, serialization: nothing happened, so again
)
"""The server is not there or cannot work now: the same will go through later."""

UNSTORABLE = (
    pg.DataError,
    pg.IntegrityConstraintViolationError,
    pg.ProgramLimitExceededError,
    ValueError,  # asyncpg's own "this is no bigint"; it is an InterfaceError, too
)
"""A value that no column takes: the same will never go through. Look at these before AWAY."""


async def connect(settings: Settings, worker: str, *, seconds_max: int = 30) -> Any:
    """An asyncpg connection; raises Unavailable where no server answers.

    seconds_max: for one transaction. Raises InventoryError where the address or the login is wrong.
    """
    address = settings.need("postgres")
    try:
        return await asyncpg.connect(
            address,
            timeout=5,
            command_timeout=2 * seconds_max,
            server_settings={
                "application_name": worker,
                # Compiling a statement costs more than our short statements take.
                "jit": "off",
                # A frozen client must not hold its locks for ever. (It need not look idle: between
                # two messages of one statement PostgreSQL takes it for active.)
                "transaction_timeout": f"{seconds_max}s",
            },
        )
    except (pg.InvalidAuthorizationSpecificationError, pg.InvalidCatalogNameError) as error:
        raise InventoryError(
            f"PostgreSQL refuses the login: {error}",
            remedy="Check user, password and database in INVENTORY_POSTGRES.",
        ) from error
    except (pg.ClientConfigurationError, ValueError) as error:
        raise InventoryError(
            f"The address of PostgreSQL is wrong: {error}",
            remedy="INVENTORY_POSTGRES is postgresql://user:password@host:port/database.",
        ) from error
    except AWAY as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> Unavailable:
    said = " ".join(str(error).split()) or type(error).__name__
    return Unavailable(
        f"PostgreSQL does not answer: {said}",
        remedy="'inventory status' says what runs; 'inventory up' starts it.",
    )
