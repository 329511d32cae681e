"""Orders from placement to return, what the order fold keeps of them, and the sales facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import (
    ORDER_LINES_MAX,
    Cause,
    Currency,
    Event,
    Id,
    LocationId,
    Money,
    Quantity,
    Share,
    ShipTo,
    Sku,
    Text,
    Time,
)

Channel = Literal["pos", "web", "import"]
Priority = Literal["low", "medium", "high", "critical"]
LineNo = Annotated[int, Field(ge=1, le=1_000_000)]


# --- topic `orders` -----------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class OrderLine:
    """One line as agreed with the customer. `amount` is what the line costs, never recomputed.

    service: postage, a fee, a discount: sold but never stocked.
    """

    line_no: LineNo
    sku: Sku
    quantity: Quantity
    unit_price: Money
    amount: Money
    discount: Share = Decimal(0)
    service: bool = False


def _check_line_numbers(numbers: list[int]) -> None:
    if len(set(numbers)) != len(numbers):
        raise ValueError("two lines have the same line_no")


@dataclass(slots=True, kw_only=True)
class OrderEvent(Event):
    order_id: Id


@dataclass(slots=True, kw_only=True)
class OrderPlaced(OrderEvent):
    """A customer's wish (web) or a sale that has happened (pos, import).

    location_id: the till's place, or the place an imported order left from.
    ship_from: for web orders, places to take stock from, in order of preference.
    accept_partial: ship what is there and drop refused lines, instead of all or nothing.
    pay_by: reservations end then, unless the order is paid.
    """

    type: Literal["placed"] = "placed"
    channel: Channel
    currency: Currency
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=ORDER_LINES_MAX)]
    location_id: LocationId | None = None
    ship_from: Annotated[list[LocationId], Field(max_length=50)] = field(default_factory=list)
    customer_id: Id | None = None
    ship_to: ShipTo = field(default_factory=ShipTo)
    priority: Priority | None = None
    ship_mode: Text | None = None
    accept_partial: bool = False
    pay_by: Time | None = None

    def __post_init__(self) -> None:
        _check_line_numbers([line.line_no for line in self.lines])
        if self.channel == "web" and not self.ship_from:
            raise ValueError("a web order names the places to take stock from in ship_from")
        if self.channel != "web" and self.location_id is None:
            raise ValueError(f"an order of channel {self.channel!r} names its location_id")


@dataclass(slots=True, kw_only=True)
class OrderPaid(OrderEvent):
    type: Literal["paid"] = "paid"
    method: Text | None = None


@dataclass(slots=True, kw_only=True)
class OrderCancelled(OrderEvent):
    type: Literal["cancelled"] = "cancelled"
    reason: Text | None = None


@dataclass(slots=True, kw_only=True)
class ShippedLine:
    line_no: LineNo
    quantity: Quantity


@dataclass(slots=True, kw_only=True)
class OrderShipped(OrderEvent):
    """Goods left. Without lines: all that is reserved and not yet shipped."""

    type: Literal["shipped"] = "shipped"
    lines: Annotated[list[ShippedLine], Field(max_length=ORDER_LINES_MAX)] = field(
        default_factory=list
    )
    tracking: Text | None = None

    def __post_init__(self) -> None:
        _check_line_numbers([line.line_no for line in self.lines])


@dataclass(slots=True, kw_only=True)
class OrderDelivered(OrderEvent):
    type: Literal["delivered"] = "delivered"


@dataclass(slots=True, kw_only=True)
class ReturnedLine:
    """Goods that came back: `quantity` and `amount` (given back) are positive.

    restock: the goods can be sold again; otherwise only the money goes back.
    """

    line_no: LineNo
    sku: Sku
    quantity: Quantity
    unit_price: Money
    amount: Money
    restock: bool = True
    service: bool = False


@dataclass(slots=True, kw_only=True)
class OrderReturned(OrderEvent):
    """Goods came back to a place. Complete in itself: the order may be unknown here.

    Where the order is known, its channel counts, and its customer, ship-to place and priority
    stand in for what is left out here.
    order_id: the order they were sold with, or one of the return's own where it is not known.
    """

    type: Literal["returned"] = "returned"
    location_id: LocationId
    currency: Currency
    lines: Annotated[list[ReturnedLine], Field(min_length=1, max_length=ORDER_LINES_MAX)]
    channel: Channel = "pos"
    customer_id: Id | None = None
    ship_to: ShipTo = field(default_factory=ShipTo)
    priority: Priority | None = None
    reason: Text | None = None

    def __post_init__(self) -> None:
        _check_line_numbers([line.line_no for line in self.lines])


@dataclass(slots=True, kw_only=True)
class OrderExpire(OrderEvent):
    """Time has passed: `due_at` is the one in the order's state, else this means nothing."""

    type: Literal["expire"] = "expire"
    due_at: Time


OrderCommand = Annotated[
    OrderPlaced
    | OrderPaid
    | OrderCancelled
    | OrderShipped
    | OrderDelivered
    | OrderReturned
    | OrderExpire,
    Field(discriminator="type"),
]


# --- topic `order-states`: the ledger of the order fold ------------------------------------------

OrderStatus = Literal[
    "early",  # events came before `placed`; they wait
    "placed",  # waiting for stock's answers
    "backordered",  # at least one line waits in a queue
    "reserved",
    "refused",
    "paid",
    "paid_unfulfilled",  # paid, but the stock is gone: for people to solve
    "part_shipped",
    "shipped",
    "delivered",
    "done",  # a till's or an imported sale
    "cancelled",
    "expired",
    "unmatched_return",  # goods came back for an order that is not known here
]


@dataclass(slots=True, kw_only=True)
class Part:
    """Units of a line that stand reserved at a place."""

    location_id: LocationId
    quantity: Quantity


@dataclass(slots=True, kw_only=True)
class LineState:
    """A line and what has become of it. Quantities are totals so far.

    answer: what stock said. `open`: not yet; `released`: given back or dropped.
    available: what stock had, where it refused or queued the line.
    parts: what stands reserved now; nothing for services.
    """

    line_no: LineNo
    sku: Sku
    quantity: int
    unit_price: Money
    amount: Money
    discount: Share = Decimal(0)
    service: bool = False
    answer: Literal["open", "queued", "allocated", "refused", "released", "sold"] = "open"
    available: int | None = None
    parts: list[Part] = field(default_factory=list)
    shipped: int = 0
    returned: int = 0


@dataclass(slots=True, kw_only=True)
class EarlyEvent:
    """An event that came before the order was placed, with where it stands on `orders`.

    Just one of paid, cancelled, shipped and delivered is there.
    """

    recorded_at: Time
    partition: int
    offset: int
    paid: OrderPaid | None = None
    cancelled: OrderCancelled | None = None
    shipped: OrderShipped | None = None
    delivered: OrderDelivered | None = None

    @property
    def event(self) -> OrderPaid | OrderCancelled | OrderShipped | OrderDelivered:
        event = self.paid or self.cancelled or self.shipped or self.delivered
        if event is None:
            raise ValueError("an early event is one of paid, cancelled, shipped, delivered")
        return event


@dataclass(slots=True, kw_only=True)
class OrderState:
    """What the order fold knows of an order. Compacted topic: the latest is the truth.

    version: 1, 2, 3, ... without gaps: one a step that wrote the state.
    occurred_at, recorded_at: of the last event applied.
    digest: of the accepted `placed` event's content, to tell a repetition from a conflict;
        empty while the order is not placed.
    seen: digests of the other events applied, so that one sent twice counts once.
    pay_by: reservations end then, unless the order is paid.
    cancel_asked: the order ends as soon as stock has answered every line.
    closed_at: nothing stands reserved and nothing is waited for since then.
    due_at: when `timers` shall say that time has passed; None where nothing is waited for.
        It is the end of the wait for `placed`, pay_by, or 90 days after closed_at.
    reduced: closed long ago; the lines are gone, repetitions are still recognised.
    attempt: counts reservations asked for, so that a late answer to an old one is told apart.
    cause: input topic -> highest offset applied here (the partition is the record's own).
    """

    type: Literal["order"] = "order"
    order_id: Id
    status: OrderStatus
    version: int
    occurred_at: Time
    recorded_at: Time
    digest: str = ""
    channel: Channel | None = None
    currency: Currency | None = None
    location_id: LocationId | None = None
    ship_from: list[LocationId] = field(default_factory=list)
    customer_id: Id | None = None
    ship_to: ShipTo = field(default_factory=ShipTo)
    priority: Priority | None = None
    accept_partial: bool = False
    placed_at: Time | None = None
    known_at: Time | None = None
    pay_by: Time | None = None
    paid_at: Time | None = None
    delivered_at: Time | None = None
    cancel_asked: bool = False
    closed_at: Time | None = None
    due_at: Time | None = None
    attempt: int = 1
    backfill: bool = False
    reduced: bool = False
    lines: list[LineState] = field(default_factory=list)
    early: list[EarlyEvent] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    cause: dict[str, int] = field(default_factory=dict)


# --- topic `sales`: facts ------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class SaleLine:
    """One sold (positive) or returned (negative) line: quantity and amount carry the sign."""

    line_no: LineNo
    sku: Sku
    quantity: int
    unit_price: Money
    amount: Money
    location_id: LocationId
    discount: Share = Decimal(0)


@dataclass(slots=True, kw_only=True)
class SalesRecorded(Event):
    """The lines of one order that one event sold or brought back. Never changed afterwards.

    cause: the record on `orders` that did it; (cause, line_no, location) identifies a line.
    unmatched: a return whose order is not known here, or beyond what the order had sold.
    """

    type: Literal["sales_recorded"] = "sales_recorded"
    order_id: Id
    channel: Channel
    currency: Currency
    lines: list[SaleLine]
    recorded_at: Time
    cause: Cause
    customer_id: Id | None = None
    ship_to: ShipTo = field(default_factory=ShipTo)
    priority: Priority | None = None
    unmatched: bool = False
