"""What can go wrong, as a person should read it."""

from __future__ import annotations

EXIT_UNAVAILABLE = 69
"""Exit code of a worker whose server is away: to be started again, for as long as it takes."""


class InventoryError(Exception):
    """Something is wrong that a person can act on.

    The message is one sentence that names what and where; `remedy` is the next step. Commands
    print both and exit with `exit_code`; a traceback is for `--debug` alone.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Unavailable(InventoryError):
    """A server could not be reached, or stopped answering."""

    exit_code = EXIT_UNAVAILABLE


class Mismatch(InventoryError):
    """Topics, stores and registry do not belong together; going on would count wrongly."""
