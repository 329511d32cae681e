"""The only place that reads the clock or makes ids; everything else is handed them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """This instant in UTC."""
    return datetime.now(UTC)


def from_millis(millis: int) -> datetime:
    """A Kafka timestamp (milliseconds since 1970) as an instant."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def to_millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def new_id() -> str:
    """A new identifier (UUID version 4)."""
    return str(uuid.uuid4())
