"""Both folds in small: tables, logs in memory, and short ways to say what happens."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from runtime.codec import decode, encode
from schemas.arrivals import Arrival, Refused
from schemas.events.catalog import Product
from schemas.events.orders import (
    OrderLine,
    OrderPlaced,
    OrderShipped,
    OrderState,
    SalesRecorded,
    ShippedLine,
)
from schemas.events.stock import (
    AdjustStock,
    CountStock,
    LineAnswer,
    Movement,
    ReceiveStock,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    SellStock,
    ShipStock,
    SkuState,
    StockLevel,
    StockMoved,
    TransferStock,
)
from schemas.topics import (
    ALLOCATIONS,
    ORDER_STATES,
    ORDERS,
    PRODUCTS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
    Topic,
    key_of,
)
from stream_processors.engine.outcome import Dead, Get, Out, Outcome
from stream_processors.orders import rules as order_rules
from stream_processors.stock import rules as stock_rules

SKU = "TEA-250"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


@dataclass(slots=True)
class Fold:
    """A rule with its table and inputs. Checks what holds of every step:

    the states before stay as they were; a refusal changes nothing; whatever is written can be
    read again and is the same then. careful=False leaves this out, for big runs.
    """

    decide: Callable[[Get, Any, Arrival], Outcome]
    ledger: Topic
    table: dict[str, Any] = field(default_factory=dict)
    out: list[Out] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    careful: bool = True

    def apply(
        self, topic: Topic, event: Any, recorded: datetime, key: str | None = None
    ) -> Outcome:
        key = key or key_of(topic, event)
        arrival = Arrival(topic.name, 0, self.offsets[topic.name], recorded, key)
        self.offsets[topic.name] += 1
        if not self.careful:
            outcome = self.decide(self.table.get, event, arrival)
        else:
            before = self._snapshot()
            if event is not None:
                assert decode(topic, key.encode(), encode(event)) == event
            try:
                outcome = self.decide(self.table.get, event, arrival)
            finally:
                assert self._snapshot() == before
            for name, state in outcome.states.items():
                assert decode(self.ledger, name.encode(), encode(state)) == state
            for out in outcome.out:
                out_key = key_of(out.topic, out.event).encode()
                assert decode(out.topic, out_key, encode(out.event)) == out.event
        self.table.update(outcome.states)
        self.out += outcome.out
        self.dead += outcome.dead
        return outcome

    def _snapshot(self) -> dict[str, bytes]:
        return {key: encode(state) for key, state in self.table.items()}


@dataclass(slots=True)
class StockRoom:
    """The stock fold, told what happens in few words. Times are seconds after the start."""

    sku: str = SKU
    fold: Fold = field(default_factory=lambda: Fold(stock_rules.decide, STOCK_LEVELS))
    now: float = 0.0
    made: int = 0

    def send(self, event: Any, topic: Topic = STOCK_COMMANDS, key: str | None = None) -> Outcome:
        return self.fold.apply(topic, event, at(self.now), key)

    def _said(self, when: float | None, command_id: str | None) -> dict[str, Any]:
        self.made += 1
        moment = self.now if when is None else when
        self.now = max(self.now, moment)
        return {
            "id": command_id or f"c{self.made}",
            "occurred_at": at(moment),
            "sku": self.sku,
        }

    def _of(self, order: str, line: int) -> dict[str, Any]:
        return {"order_id": order, "line_no": line}

    def product(self, when: float | None = None, **said: Any) -> Outcome:
        base = self._said(when, None)
        return self.send(Product(**base, name="Tea", **said), PRODUCTS)

    def delete_product(self) -> Outcome:
        return self.send(None, PRODUCTS, self.sku)

    def receive(
        self,
        place: str,
        quantity: int,
        when: float | None = None,
        id: str | None = None,  # noqa: A002 - the field's name
        **more: Any,
    ) -> Outcome:
        said = self._said(when, id)
        return self.send(ReceiveStock(**said, location_id=place, quantity=quantity, **more))

    def transfer(self, start: str, end: str, quantity: int, when: float | None = None) -> Outcome:
        said = self._said(when, None)
        return self.send(
            TransferStock(
                **said,
                transfer_id="t",
                from_location_id=start,
                to_location_id=end,
                quantity=quantity,
            )
        )

    def adjust(self, place: str, delta: int, when: float | None = None) -> Outcome:
        said = self._said(when, None)
        return self.send(AdjustStock(**said, location_id=place, delta=delta, reason="found"))

    def count(self, place: str, counted: int, when: float | None = None) -> Outcome:
        return self.send(CountStock(**self._said(when, None), location_id=place, counted=counted))

    def sell(self, place: str, quantity: int, when: float | None = None, **more: Any) -> Outcome:
        said = self._said(when, None) | self._of("pos", 1) | more
        return self.send(SellStock(**said, location_id=place, quantity=quantity))

    def reserve(
        self, order: str, quantity: int, *places: str, line: int = 1, attempt: int = 1
    ) -> Outcome:
        said = self._said(None, None) | self._of(order, line)
        return self.send(
            ReserveStock(**said, quantity=quantity, ship_from=list(places), attempt=attempt)
        )

    def release(
        self, order: str, quantity: int, place: str | None = None, line: int = 1
    ) -> Outcome:
        said = self._said(None, None) | self._of(order, line)
        return self.send(ReleaseStock(**said, quantity=quantity, location_id=place))

    def ship(
        self, order: str, quantity: int, place: str, reserved: int, when: float | None = None
    ) -> Outcome:
        said = self._said(when, None) | self._of(order, 1)
        return self.send(ShipStock(**said, quantity=quantity, location_id=place, reserved=reserved))

    def give_back(self, order: str, quantity: int, place: str) -> Outcome:
        said = self._said(None, None) | self._of(order, 1)
        return self.send(ReturnStock(**said, quantity=quantity, location_id=place))

    def level(self, place: str) -> StockLevel:
        level: StockLevel = self.fold.table[f"{self.sku}|{place}"]
        return level

    def sku_state(self) -> SkuState:
        state: SkuState = self.fold.table[f"{self.sku}|"]
        return state

    def levels(self) -> dict[str, tuple[int, int, int]]:
        """Place -> on hand, reserved, in transit."""
        return {
            level.location_id: (level.on_hand, level.reserved, level.in_transit)
            for level in self.fold.table.values()
            if isinstance(level, StockLevel)
        }


def movements(outs: Iterable[Out]) -> list[Movement]:
    return [
        moved for out in outs if isinstance(out.event, StockMoved) for moved in out.event.movements
    ]


def answers(outs: Iterable[Out]) -> list[Any]:
    return [out.event for out in outs if isinstance(out.event, LineAnswer)]


def line(
    line_no: int = 1,
    sku: str = SKU,
    quantity: int = 2,
    amount: str = "10",
    service: bool = False,
) -> OrderLine:
    return OrderLine(
        line_no=line_no,
        sku=sku,
        quantity=quantity,
        unit_price=Decimal("5"),
        amount=Decimal(amount),
        service=service,
    )


def web_order(
    *lines: OrderLine, order_id: str = "o1", seconds: float = 0, **said: Any
) -> OrderPlaced:
    base: dict[str, Any] = {
        "id": f"{order_id}:placed",
        "occurred_at": at(seconds),
        "order_id": order_id,
        "channel": "web",
        "currency": "EGP",
        "lines": list(lines) or [line()],
        "ship_from": ["a", "b"],
        "pay_by": at(seconds + 1800),
    }
    return OrderPlaced(**(base | said))


def till_sale(
    *lines: OrderLine, order_id: str = "p1", seconds: float = 0, **said: Any
) -> OrderPlaced:
    base: dict[str, Any] = {
        "id": f"{order_id}:placed",
        "occurred_at": at(seconds),
        "order_id": order_id,
        "channel": "pos",
        "currency": "EGP",
        "lines": list(lines) or [line()],
        "location_id": "a",
    }
    return OrderPlaced(**(base | said))


def shipment(
    *quantities: tuple[int, int],
    order_id: str = "o1",
    seconds: float = 60,
    id: str | None = None,  # noqa: A002 - the field's name
) -> OrderShipped:
    return OrderShipped(
        id=id or f"{order_id}:shipped:{seconds}",
        occurred_at=at(seconds),
        order_id=order_id,
        lines=[ShippedLine(line_no=number, quantity=units) for number, units in quantities],
    )


def new_order_fold(careful: bool = True) -> Fold:
    return Fold(order_rules.decide, ORDER_STATES, careful=careful)


@dataclass(slots=True)
class Trade:
    """Both folds joined by logs. Records of one key keep their order; all else may interleave."""

    random: random.Random
    careful: bool = True
    orders: Fold = field(init=False)
    stock: Fold = field(init=False)
    logs: dict[tuple[str, str], deque[Any]] = field(default_factory=dict)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    facts: list[tuple[str, Movement]] = field(default_factory=list)
    sales: list[SalesRecorded] = field(default_factory=list)
    refused: list[tuple[Any, Refused]] = field(default_factory=list)
    applied: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.orders = new_order_fold(self.careful)
        self.stock = Fold(stock_rules.decide, STOCK_LEVELS, careful=self.careful)

    def publish(self, topic: Topic, event: Any, key: str | None = None) -> None:
        where = topic.name, key or key_of(topic, event)
        log = self.logs.setdefault(where, deque())
        if not log:
            self.waiting.append(where)
        log.append((topic, event))

    def step(self) -> bool:
        """One fold takes one record of one key, whichever comes up. False: all is read."""
        if not self.waiting:
            return False
        index = self.random.randrange(len(self.waiting))
        key = self.waiting[index]
        topic, event = self.logs[key].popleft()
        if not self.logs[key]:
            self.waiting[index] = self.waiting[-1]
            self.waiting.pop()
        self.seconds += 0.001
        fold = self.orders if topic in (ORDERS, ALLOCATIONS) else self.stock
        try:
            outcome = fold.apply(topic, event, at(self.seconds), key[1])
        except Refused as refused:
            self.refused.append((event, refused))
            return True
        self.applied.append(event)
        for out in outcome.out:
            if isinstance(out.event, StockMoved):
                self.facts += [(out.event.sku, moved) for moved in out.event.movements]
            elif isinstance(out.event, SalesRecorded):
                self.sales.append(out.event)
            else:
                self.publish(out.topic, out.event)
        return True

    def drain(self) -> None:
        while self.step():
            pass

    def levels(self) -> dict[tuple[str, str], StockLevel]:
        return {
            (state.sku, state.location_id): state
            for state in self.stock.table.values()
            if isinstance(state, StockLevel)
        }

    def states(self) -> list[OrderState]:
        return list(self.orders.table.values())
