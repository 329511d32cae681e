"""What one side (the topics, or a store) says, in a form that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

Place = tuple[str, str]
"""SKU and location."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A level. version: how many movements led to it."""

    on_hand: int
    reserved: int
    in_transit: int
    version: int


@dataclass(frozen=True, slots=True)
class Sold:
    """Sales lines of one currency, all together."""

    lines: int
    quantity: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """An order's status and the version of its state."""

    status: str
    version: int


@dataclass(slots=True)
class Figures:
    """None: this side does not keep that figure.

    levels: as kept. facts: the sums of the movement facts; their version is their number.
    reserved: what open order lines hold. sold: by currency. orders: by order id.
    """

    side: str
    levels: dict[Place, Stock] = field(default_factory=dict)
    facts: dict[Place, Stock] | None = None
    reserved: dict[Place, int] | None = None
    sold: dict[str, Sold] = field(default_factory=dict)
    orders: dict[str, Standing] | None = None
