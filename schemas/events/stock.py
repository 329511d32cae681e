"""Stock: commands in, movement facts and allocations out, and the ledger of levels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import (
    Delta,
    Event,
    EventId,
    Id,
    Level,
    LocationId,
    Quantity,
    Sku,
    Text,
    Time,
)
from schemas.events.orders import LineNo, Part

# --- topic `stock-commands` -----------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class SkuEvent(Event):
    sku: Sku


@dataclass(slots=True, kw_only=True)
class ReceiveStock(SkuEvent):
    """Goods arrived. With a transfer_id they were in transit to this place."""

    type: Literal["receive"] = "receive"
    location_id: LocationId
    quantity: Quantity
    transfer_id: Id | None = None
    document: Text | None = None
    reason: Text | None = None


@dataclass(slots=True, kw_only=True)
class TransferStock(SkuEvent):
    """Goods left one place for another; they are in transit until received there."""

    type: Literal["transfer"] = "transfer"
    transfer_id: Id
    from_location_id: LocationId
    to_location_id: LocationId
    quantity: Quantity
    document: Text | None = None
    reason: Text | None = None

    def __post_init__(self) -> None:
        if self.from_location_id == self.to_location_id:
            raise ValueError("a transfer goes from one place to another")


@dataclass(slots=True, kw_only=True)
class AdjustStock(SkuEvent):
    """More or less is there than the books say: a write-off, goods found, a correction."""

    type: Literal["adjust"] = "adjust"
    location_id: LocationId
    delta: Delta
    reason: Text
    document: Text | None = None

    def __post_init__(self) -> None:
        if self.delta == 0:
            raise ValueError("an adjustment changes something: delta is not 0")


@dataclass(slots=True, kw_only=True)
class CountStock(SkuEvent):
    """`counted` units were there at `occurred_at`."""

    type: Literal["count"] = "count"
    location_id: LocationId
    counted: Level
    document: Text | None = None
    reason: Text | None = None


@dataclass(slots=True, kw_only=True)
class OrderLineCommand(SkuEvent):
    """From the order fold. Its id is made of order, line and what is asked."""

    order_id: Id
    line_no: LineNo
    quantity: Quantity


@dataclass(slots=True, kw_only=True)
class SellStock(OrderLineCommand):
    """A till's sale has happened: applied even where nothing was left."""

    type: Literal["sell"] = "sell"
    location_id: LocationId


@dataclass(slots=True, kw_only=True)
class ReserveStock(OrderLineCommand):
    """Set units aside at these places, in order of preference; all of the line or nothing."""

    type: Literal["reserve"] = "reserve"
    ship_from: Annotated[list[LocationId], Field(min_length=1, max_length=50)]
    attempt: int = 1


@dataclass(slots=True, kw_only=True)
class ReleaseStock(OrderLineCommand):
    """Give back what stood reserved at a place. Without a place: leave the queue."""

    type: Literal["release"] = "release"
    location_id: LocationId | None = None


@dataclass(slots=True, kw_only=True)
class ShipStock(OrderLineCommand):
    """Units left. `reserved`: how many of them stood reserved here (late shipments: fewer)."""

    type: Literal["ship"] = "ship"
    location_id: LocationId
    reserved: Level


@dataclass(slots=True, kw_only=True)
class ReturnStock(OrderLineCommand):
    """Units came back and can be sold again."""

    type: Literal["return"] = "return"
    location_id: LocationId


StockCommand = Annotated[
    ReceiveStock
    | TransferStock
    | AdjustStock
    | CountStock
    | SellStock
    | ReserveStock
    | ReleaseStock
    | ShipStock
    | ReturnStock,
    Field(discriminator="type"),
]


# --- topic `allocations` --------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class LineAnswer(Event):
    order_id: Id
    line_no: LineNo
    sku: Sku
    attempt: int = 1


@dataclass(slots=True, kw_only=True)
class LineAllocated(LineAnswer):
    """Units stand reserved for the line, at these places; at none for a service."""

    type: Literal["allocated"] = "allocated"
    parts: list[Part]


@dataclass(slots=True, kw_only=True)
class LineQueued(LineAnswer):
    """Not enough now; the line waits for the next receipt (first in, first out)."""

    type: Literal["queued"] = "queued"
    available: int


@dataclass(slots=True, kw_only=True)
class LineRefused(LineAnswer):
    """Not enough, and no waiting.

    available: what the asked places had together, apart from places that lines before it in
        the queue wait for.
    """

    type: Literal["refused"] = "refused"
    available: int


Allocation = Annotated[LineAllocated | LineQueued | LineRefused, Field(discriminator="type")]


# --- topic `stock-movements`: facts ---------------------------------------------------------------

MovementKind = Literal[
    "receive",
    "transfer_out",
    "transfer_in",
    "adjust",
    "count",
    "count_correction",
    "sell",
    "reserve",
    "release",
    "ship",
    "return",
]
MovementFlag = Literal["oversold", "unknown_product", "late", "transfer_excess"]


@dataclass(slots=True, kw_only=True)
class Movement:
    """One change at one place. The levels after it are as this SKU's log decided.

    command_id, partition, offset: the record on `stock-commands` that caused it. Lines of the
        queue that a change of `products` serves have `products/...` as command_id and that
        record's place.
    version: of the level after it: 1, 2, 3, ... without gaps a (SKU, place).
    known_at: when the change was known: see the envelope; recorded_at where nobody said.
    flags: oversold (took on hand below zero), unknown_product, late (arrived after a count that
        already included it, or is a count older than the newest), transfer_excess (more arrived
        than was in transit).
    """

    location_id: LocationId
    kind: MovementKind
    on_hand_delta: int
    reserved_delta: int
    in_transit_delta: int
    on_hand: int
    reserved: int
    in_transit: int
    version: int
    occurred_at: Time
    recorded_at: Time
    known_at: Time
    command_id: EventId
    partition: int
    offset: int
    order_id: Id | None = None
    line_no: int | None = None
    document: Text | None = None
    reason: Text | None = None
    by: Text | None = None
    backfill: bool = False
    flags: list[MovementFlag] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class StockMoved(Event):
    """The movements of one SKU that were decided together, in the order of their decision."""

    type: Literal["stock_moved"] = "stock_moved"
    sku: Sku
    movements: list[Movement]


# --- topic `stock-levels`: the ledger of the stock fold -------------------------------------------


@dataclass(slots=True, kw_only=True)
class StockLevel:
    """Key `sku|location`: what is at a place now, the sum of all movements there.

    on_hand: physically there by the books; below zero after an oversold till sale.
    reserved: promised to open orders. in_transit: on its way here, not on hand.
    recent: [epoch ms, on-hand delta], by time, of the movements that happened after
        `recent_since` (epoch ms): about 15 minutes, so that a count "at 10:00" can be told from
        the sales after it. What the latest count included is left out.
    counted_at: when the latest count was taken.
    backfill: the last change was history.
    cause: input topic -> highest offset applied to this key.
    """

    type: Literal["level"] = "level"
    sku: Sku
    location_id: LocationId
    on_hand: int = 0
    reserved: int = 0
    in_transit: int = 0
    version: int = 0
    occurred_at: Time
    recorded_at: Time
    counted_at: Time | None = None
    backfill: bool = False
    unknown_product: bool = False
    recent: list[tuple[int, int]] = field(default_factory=list)
    recent_since: int = 0
    cause: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class QueuedLine:
    """A web order's line that waits for stock, within the SKU's backorder limit."""

    order_id: Id
    line_no: LineNo
    quantity: Quantity
    ship_from: list[LocationId]
    attempt: int = 1


@dataclass(slots=True, kw_only=True)
class SkuState:
    """Key `sku|`: what belongs to the SKU as a whole.

    known, stocked, safety_stock, backorder_limit: from `products`; known=False before it came
        and after it was deleted.
    queue: lines that wait, oldest first.
    outside: how many commands from outside were applied; their newest ids: `SeenCommands`.
    """

    type: Literal["sku"] = "sku"
    sku: Sku
    known: bool = False
    stocked: bool = True
    safety_stock: int = 0
    backorder_limit: int = 0
    queue: list[QueuedLine] = field(default_factory=list)
    outside: int = 0
    cause: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class SeenCommands:
    """Key `sku|#slot|`: some of the newest outside command ids of a SKU, so that one sent twice
    counts once. Split over a ring of small records, because one is written a command.

    ids: 64-bit hashes as 11 characters each (base64url), oldest first.
    """

    type: Literal["seen"] = "seen"
    sku: Sku
    slot: int
    ids: str

    @property
    def location_id(self) -> str:
        """The rest of the key; no place has a `|`, so it is no place's."""
        return f"#{self.slot}|"
