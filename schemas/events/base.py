"""The parts that all events share: identifiers, money, quantities, times, and the envelope.

Events are stdlib slots dataclasses. pydantic validates what comes in (`runtime.codec`), msgspec
writes what goes out; both read these annotations. Values are never changed in place: whoever
needs another value builds a new one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

SKU_LENGTH_MAX = 64
QUANTITY_MAX = 1_000_000_000
ORDER_LINES_MAX = 1_000
# Control characters are refused everywhere: PostgreSQL cannot store NUL, terminals obey the rest.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_PRINTABLE_NO_BAR = r"^[^\x00-\x1f\x7f|]*$"


def canonical_sku(text: str) -> str:
    """The one spelling of a SKU: NFKC, trimmed, upper case.

    Raises ValueError when nothing is left, more than 64 characters are left, or it holds `|`
    (which separates SKU and place in keys) or a control character.
    """
    sku = unicodedata.normalize("NFKC", text).strip().upper()
    if not 1 <= len(sku) <= SKU_LENGTH_MAX:
        raise ValueError(f"a SKU has 1 to {SKU_LENGTH_MAX} characters, this one has {len(sku)}")
    if "|" in sku or not sku.isprintable():
        raise ValueError("a SKU holds no '|' and no control characters")
    return sku


@lru_cache(maxsize=100_000)
def _check_sku(text: str) -> str:
    if canonical_sku(text) != text:
        raise ValueError(f"not in canonical form: write {canonical_sku(text)!r}")
    return text


Sku = Annotated[str, AfterValidator(_check_sku)]
"""A SKU in canonical form; see `canonical_sku`."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE_NO_BAR)]
"""An identifier made by whoever published: of an order, a command, a customer, a supplier."""

EventId = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=_PRINTABLE)]
"""An identifier of an event; ours are made of the ids of what caused them."""

LocationId = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE_NO_BAR)
]
"""A place that holds stock: a store, a warehouse. Case matters."""

Text = Annotated[str, StringConstraints(max_length=500, pattern=_PRINTABLE)]
"""One line for people to read: a name, a reason, a street."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code."""

Money = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=4, allow_inf_nan=False),
]
"""An amount in the currency that stands beside it; a string in JSON."""

Share = Annotated[Decimal, Field(ge=0, le=1, max_digits=7, decimal_places=6, allow_inf_nan=False)]
"""A part of one: a discount of 0.15 is 15 %."""

Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX)]
"""Units of the product: at least one."""

Level = Annotated[int, Field(ge=0, le=QUANTITY_MAX)]
"""Units of the product: none or more."""

Delta = Annotated[int, Field(ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
"""A signed change in units."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class _Instant:
    """Tells pydantic what `datetime` alone does not: a zone is needed, the years are bounded."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.datetime_schema(ge=EARLIEST, lt=LATEST, tz_constraint="aware")


Time = Annotated[datetime, _Instant]
"""An instant with its zone, from 1970 to 2199; written in UTC."""


@dataclass(slots=True, kw_only=True)
class Event:
    """The envelope, in every event on every topic.

    id: chosen by whoever published; the same id means the same event, sent again.
    occurred_at: when it happened in the world. When it was recorded is Kafka's own timestamp.
    known_at: when the source knew it, where that isn't when it was recorded: history that is
        imported was known at the time.
    backfill: part of a history; alerts stay silent about the levels on the way.
    by: the person or program that did it.
    """

    id: EventId
    occurred_at: Time
    known_at: Time | None = None
    backfill: bool = False
    by: Text | None = None


@dataclass(slots=True, kw_only=True)
class ShipTo:
    """Where goods go, coarse enough to be kept for ever: no name and no street."""

    country: Text | None = None
    state: Text | None = None
    city: Text | None = None
    market: Text | None = None
    region: Text | None = None


@dataclass(slots=True, kw_only=True)
class Cause:
    """The record that led to a fact."""

    topic: str
    partition: int
    offset: int
