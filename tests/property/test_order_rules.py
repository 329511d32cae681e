"""The order fold alone, with a stock that answers as chance will."""

from __future__ import annotations

import random
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.arrivals import Refused
from schemas.events.orders import (
    OrderCancelled,
    OrderDelivered,
    OrderExpire,
    OrderPaid,
    OrderReturned,
    OrderState,
    Part,
    ReturnedLine,
    SalesRecorded,
)
from schemas.events.stock import (
    LineAllocated,
    LineAnswer,
    LineQueued,
    LineRefused,
    ReleaseStock,
    ReserveStock,
    ShipStock,
)
from schemas.topics import ALLOCATIONS, ORDERS, SALES
from tests.support.plain_orders import check_end, check_sales
from tests.support.trade import Fold, at, line, new_order_fold, shipment, web_order

ORDER = web_order(
    line(1, sku="X", quantity=5, amount="9.99"),
    line(2, sku="Y", quantity=2, amount="0.01"),
    line(3, sku="POST", quantity=1, amount="4", service=True),
)


@dataclass
class Whim:
    """A stock of endless goods that allocates, queues and refuses as it likes.

    It keeps what it has promised, and never gives or takes back more than that.
    """

    chance: random.Random
    held: Counter[tuple[int, str]] = field(default_factory=Counter)
    queue: dict[int, ReserveStock] = field(default_factory=dict)

    def take(self, command: Any) -> list[LineAnswer]:
        if isinstance(command, ReserveStock):
            assert command.line_no not in self.queue
            choice = self.chance.choice(("allocate", "allocate", "queue", "refuse"))
            if choice == "allocate":
                return [self._allocate(command)]
            if choice == "refuse":
                return [LineRefused(**_about(command), available=0)]
            self.queue[command.line_no] = command
            return [LineQueued(**_about(command), available=0)]
        if isinstance(command, ReleaseStock):
            if command.location_id is None:
                self.queue.pop(command.line_no, None)
            else:
                self._free(command.line_no, command.location_id, command.quantity)
        if isinstance(command, ShipStock):
            assert command.reserved <= command.quantity
            self._free(command.line_no, command.location_id, command.reserved)
        return []

    def serve(self) -> list[LineAnswer]:
        """Goods have come for one who waits."""
        if not self.queue:
            return []
        return [self._allocate(self.queue.pop(self.chance.choice(sorted(self.queue))))]

    def _allocate(self, command: ReserveStock) -> LineAnswer:
        first = self.chance.randint(0, command.quantity)
        split = {"a": first, "b": command.quantity - first}
        parts = [Part(location_id=at, quantity=units) for at, units in split.items() if units]
        for part in parts:
            self.held[command.line_no, part.location_id] += part.quantity
        return LineAllocated(**_about(command), parts=parts)

    def _free(self, line_no: int, place: str, units: int) -> None:
        assert units <= self.held[line_no, place]
        self.held[line_no, place] -= units


def _about(command: ReserveStock) -> dict[str, Any]:
    return {
        "id": f"answer/{command.id}",
        "occurred_at": command.occurred_at,
        "order_id": command.order_id,
        "line_no": command.line_no,
        "sku": command.sku,
        "attempt": command.attempt,
    }


@dataclass
class Shop:
    """The order fold and that stock, with a log between them each way."""

    chance: random.Random
    fold: Fold = field(default_factory=new_order_fold)
    whim: Whim = field(init=False)
    commands: deque[Any] = field(default_factory=deque)
    answers: deque[Any] = field(default_factory=deque)
    sales: list[SalesRecorded] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self.whim = Whim(self.chance)

    def tell(self, topic: Any, event: Any) -> None:
        self.sent += 1
        try:
            outcome = self.fold.apply(topic, event, at(self.sent))
        except Refused:
            return
        for out in outcome.out:
            if out.topic is SALES:
                assert isinstance(out.event, SalesRecorded)
                self.sales.append(out.event)
            else:
                self.commands.append(out.event)

    def step(self, serve: bool = True) -> bool:
        """Either side reads one record, or goods come. False: there is nothing to read."""
        ways = ["commands"] * bool(self.commands) + ["answers"] * bool(self.answers)
        ways += ["serve"] * (serve and bool(self.whim.queue))
        if not ways:
            return False
        way = self.chance.choice(ways)
        if way == "commands":
            self.answers += self.whim.take(self.commands.popleft())
        elif way == "answers":
            self.tell(ALLOCATIONS, self.answers.popleft())
        else:
            self.answers += self.whim.serve()
        return True

    def state(self) -> OrderState | None:
        return self.fold.table.get("o1")


KINDS = ["paid", "cancelled", "delivered", "stale", "placed", "again"] + [
    "timer",
    "shipped",
    "returned",
] * 2
NAMED = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=2, unique_by=lambda pair: pair[0]
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), NAMED, st.integers(0, 6)), min_size=1, max_size=14
)


def event_of(kind: str, index: int, named: list[tuple[int, int]], state: OrderState | None) -> Any:
    said: dict[str, Any] = {"id": f"e{index}", "occurred_at": at(index), "order_id": "o1"}
    if kind == "placed":
        return ORDER
    if kind == "shipped":
        return shipment(*named, seconds=index, id=f"e{index}")
    if kind == "returned":
        lines = [
            ReturnedLine(
                line_no=line_no,
                sku="X" if line_no == 1 else "Y",
                quantity=units,
                unit_price=Decimal(1),
                amount=Decimal(units),
            )
            for line_no, units in named or [(1, 1)]
        ]
        return OrderReturned(**said, location_id="a", currency="EGP", lines=lines)
    if kind in ("timer", "stale"):
        due = state.due_at if kind == "timer" and state else at(7)
        return OrderExpire(**said, due_at=due) if due else None
    models = {"paid": OrderPaid, "cancelled": OrderCancelled, "delivered": OrderDelivered}
    return models[kind](**said)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.booleans(), st.randoms(use_true_random=False))
def test_what_stock_holds_for_an_order_is_what_the_order_says(
    events: list[tuple[str, list[tuple[int, int]], int]],
    placed_first: bool,
    chance: random.Random,
) -> None:
    shop = Shop(chance)
    told: list[Any] = []
    if placed_first:
        shop.tell(ORDERS, ORDER)
    for index, (kind, named, steps) in enumerate(events):
        if kind == "again":
            event = chance.choice(told) if told else None
        else:
            event = event_of(kind, index, named, shop.state())
        if event is not None:
            told.append(event)
            shop.tell(ORDERS, event)
        for _ in range(steps):
            shop.step()
    while shop.step(serve=False):
        pass
    state = shop.state()
    if state is None:
        return
    check_end(state)
    check_sales(state, ORDER if state.digest else None, shop.sales)
    held = {key: units for key, units in shop.whim.held.items() if units}
    assert held == {
        (item.line_no, part.location_id): part.quantity
        for item in state.lines
        for part in item.parts
    }
    waiting = {item.line_no for item in state.lines if item.answer == "queued"}
    assert waiting == set(shop.whim.queue)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(("paid", "cancelled", "delivered", "shipped")), max_size=5))
def test_how_an_order_ends_does_not_depend_on_when_stock_answers(kinds: list[str]) -> None:
    follow = [
        (ORDERS, event_of(kind, index, [], None)) for index, kind in enumerate(kinds, start=1)
    ]
    said = [
        (ALLOCATIONS, allocated(line_no, sku, units))
        for line_no, sku, units in ((1, "X", 5), (2, "Y", 2))
    ]
    ends = set()
    for records in (said + follow, follow + said):
        fold = new_order_fold()
        fold.apply(ORDERS, ORDER, at(0))
        for topic, event in records:
            with suppress(Refused):
                fold.apply(topic, event, at(9))
        state = fold.table["o1"]
        ends.add((state.status, state.paid_at, tuple(item.shipped for item in state.lines)))
    assert len(ends) == 1


def allocated(line_no: int, sku: str, units: int) -> LineAllocated:
    return LineAllocated(
        id=f"answer/{line_no}",
        occurred_at=at(0),
        order_id="o1",
        line_no=line_no,
        sku=sku,
        parts=[Part(location_id="b", quantity=units)],
    )
