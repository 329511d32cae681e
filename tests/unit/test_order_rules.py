"""What the order fold promises, a sentence a test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.arrivals import Refused
from schemas.events.base import ShipTo
from schemas.events.orders import (
    LineState,
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
    LineQueued,
    LineRefused,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    SellStock,
    ShipStock,
)
from schemas.topics import ALLOCATIONS, ORDERS
from stream_processors.engine.outcome import Outcome
from stream_processors.orders.step import SEEN_MAX
from tests.support.trade import SKU, Fold, at, line, new_order_fold, shipment, till_sale, web_order

DAY = 86_400


@dataclass
class Desk:
    """The order fold, told what happens in few words. Times are seconds after the start."""

    fold: Fold = field(default_factory=new_order_fold)
    now: float = 0.0
    made: int = 0

    def send(self, event: Any, recorded: float | None = None) -> Outcome:
        return self.fold.apply(ORDERS, event, at(self.now if recorded is None else recorded))

    def _said(self, order_id: str, when: float | None) -> dict[str, Any]:
        self.made += 1
        moment = self.now if when is None else when
        self.now = max(self.now, moment)
        return {"id": f"e{self.made}", "occurred_at": at(moment), "order_id": order_id}

    def pay(self, order_id: str = "o1", when: float | None = None) -> Outcome:
        return self.send(OrderPaid(**self._said(order_id, when)))

    def cancel(self, order_id: str = "o1", when: float | None = None) -> Outcome:
        return self.send(OrderCancelled(**self._said(order_id, when)))

    def deliver(self, order_id: str = "o1", when: float | None = None) -> Outcome:
        return self.send(OrderDelivered(**self._said(order_id, when)))

    def ship(
        self, *quantities: tuple[int, int], order_id: str = "o1", when: float | None = None
    ) -> Outcome:
        self.made += 1
        moment = self.now if when is None else when
        self.now = max(self.now, moment)
        return self.send(
            shipment(*quantities, order_id=order_id, seconds=moment, id=f"e{self.made}")
        )

    def take_back(
        self,
        *lines: ReturnedLine,
        order_id: str = "o1",
        when: float | None = None,
        **more: Any,
    ) -> Outcome:
        said = self._said(order_id, when)
        return self.send(
            OrderReturned(**said, location_id="a", currency="EGP", lines=list(lines), **more)
        )

    def expire(self, order_id: str = "o1", due: float | None = None) -> Outcome:
        """Time has passed: the state's date, or another one, has come."""
        due_at = self.state(order_id).due_at if due is None else at(due)
        assert due_at is not None
        self.now = max(self.now, (due_at - at(0)).total_seconds())
        return self.send(OrderExpire(**self._said(order_id, None), due_at=due_at))

    def answer(self, model: type[Any], line_no: int = 1, order_id: str = "o1", **more: Any) -> Any:
        said: dict[str, Any] = {**self._said(order_id, None), "line_no": line_no, "sku": SKU}
        return self.fold.apply(ALLOCATIONS, model(**(said | more)), at(self.now))

    def allocate(self, line_no: int = 1, *parts: tuple[str, int], **more: Any) -> Outcome:
        outcome: Outcome = self.answer(LineAllocated, line_no, parts=list(map(part, parts)), **more)
        return outcome

    def queue(self, line_no: int = 1, **more: Any) -> Outcome:
        outcome: Outcome = self.answer(LineQueued, line_no, available=0, **more)
        return outcome

    def refuse(self, line_no: int = 1, **more: Any) -> Outcome:
        outcome: Outcome = self.answer(LineRefused, line_no, available=1, **more)
        return outcome

    def state(self, order_id: str = "o1") -> OrderState:
        state: OrderState = self.fold.table[order_id]
        return state

    @property
    def status(self) -> str:
        return self.state().status

    def lines(self) -> list[LineState]:
        return self.state().lines


def part(place_and_quantity: tuple[str, int]) -> Part:
    place, quantity = place_and_quantity
    return Part(location_id=place, quantity=quantity)


def back(line_no: int = 1, sku: str = SKU, quantity: int = 1, **more: Any) -> ReturnedLine:
    return ReturnedLine(
        line_no=line_no,
        sku=sku,
        quantity=quantity,
        unit_price=Decimal(5),
        amount=Decimal(5) * quantity,
        **more,
    )


def events(outcome: Outcome) -> list[Any]:
    return [out.event for out in outcome.out]


def released(outcome: Outcome) -> list[tuple[int, str | None, int]]:
    """(line, place or None for the queue, quantity) of what is given back."""
    return [
        (event.line_no, event.location_id, event.quantity)
        for event in events(outcome)
        if isinstance(event, ReleaseStock)
    ]


def shipped(outcome: Outcome) -> list[tuple[int, str, int, int]]:
    """(line, place, quantity, of these reserved) of what leaves."""
    return [
        (event.line_no, event.location_id, event.quantity, event.reserved)
        for event in events(outcome)
        if isinstance(event, ShipStock)
    ]


def sold(outcome: Outcome) -> list[tuple[int, str, int, Decimal]]:
    """(line, place, quantity, amount) of what is sold or given back."""
    return [
        (sale.line_no, sale.location_id, sale.quantity, sale.amount)
        for event in events(outcome)
        if isinstance(event, SalesRecorded)
        for sale in event.lines
    ]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def reserved(desk: Desk) -> Desk:
    """One order of five units: three stand reserved at a, two at b."""
    desk.send(web_order(line(quantity=5, amount="10")))
    desk.allocate(1, ("a", 3), ("b", 2))
    return desk


# --- tills and imports ----------------------------------------------------------------------------


def test_a_tills_sale_is_done_at_once(desk: Desk) -> None:
    outcome = desk.send(till_sale(line(1), line(2, sku="BAG", service=True), by="ann"))
    sell, fact = events(outcome)
    assert isinstance(sell, SellStock)
    assert (sell.id, sell.sku, sell.quantity, sell.location_id) == ("p1/1/sell", SKU, 2, "a")
    assert sell.by == fact.by == "ann"
    assert isinstance(fact, SalesRecorded)
    assert (fact.id, fact.order_id, fact.channel) == ("orders/0/0", "p1", "pos")
    assert sold(outcome) == [(1, "a", 2, Decimal(10)), (2, "a", 2, Decimal(10))]
    state = desk.state("p1")
    assert (state.status, state.closed_at) == ("done", at(0))
    assert state.due_at == at(90 * DAY)
    assert [(item.answer, item.shipped) for item in state.lines] == [("sold", 2), ("sold", 2)]


def test_history_carries_its_marks_to_commands_and_facts(desk: Desk) -> None:
    order = till_sale(channel="import", known_at=at(1), backfill=True)
    for event in events(desk.send(order)):
        assert (event.known_at, event.backfill, event.occurred_at) == (at(1), True, at(0))


def test_an_order_that_closed_long_ago_is_reduced_at_once(desk: Desk) -> None:
    outcome = desk.send(till_sale(channel="import"), recorded=90 * DAY)
    state = desk.state("p1")
    assert sold(outcome) == [(1, "a", 2, Decimal(10))]
    assert (state.reduced, state.lines, state.due_at, state.status) == (True, [], None, "done")
    assert state.digest


def test_an_order_sent_twice_counts_once(desk: Desk) -> None:
    desk.send(till_sale(by="ann"))
    outcome = desk.send(till_sale(by="ben", id="other", known_at=at(3)))
    assert outcome.out == []
    assert desk.state("p1").cause == {"orders": 1}


def test_an_order_sent_twice_after_it_was_reduced_counts_once(desk: Desk) -> None:
    desk.send(till_sale(), recorded=100 * DAY)
    assert desk.send(till_sale(), recorded=200 * DAY).out == []


def test_an_order_id_with_other_content_is_refused(desk: Desk) -> None:
    desk.send(till_sale())
    with pytest.raises(Refused) as caught:
        desk.send(till_sale(line(quantity=3)))
    assert caught.value.reason == "order_conflict"


# --- web orders: placed and answered --------------------------------------------------------------


def test_a_web_order_asks_stock_for_each_line(desk: Desk) -> None:
    outcome = desk.send(web_order(line(1), line(2, quantity=3), line(3, sku="POST", service=True)))
    first, second = events(outcome)
    assert isinstance(first, ReserveStock)
    assert (first.id, first.quantity, first.ship_from) == ("o1/1/reserve/1", 2, ["a", "b"])
    assert (second.id, second.quantity, second.attempt) == ("o1/2/reserve/1", 3, 1)
    assert desk.status == "placed"
    assert desk.state().due_at == desk.state().pay_by == at(1800)
    assert [item.answer for item in desk.lines()] == ["open", "open", "allocated"]


def test_an_order_is_reserved_when_all_lines_are(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    desk.allocate(1, ("a", 2))
    assert desk.status == "placed"
    desk.allocate(2, ("b", 2))
    assert desk.status == "reserved"
    assert [item.parts for item in desk.lines()] == [[part(("a", 2))], [part(("b", 2))]]


def test_an_order_of_services_alone_is_reserved_at_once(desk: Desk) -> None:
    assert desk.send(web_order(line(service=True))).out == []
    assert desk.status == "reserved"
    assert desk.lines()[0].parts == []


def test_all_or_nothing_a_refused_line_gives_the_others_back(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2), line(3)))
    desk.allocate(1, ("a", 2))
    desk.queue(2)
    outcome = desk.refuse(3)
    assert released(outcome) == [(1, "a", 2), (2, None, 2)]
    assert [event.id for event in events(outcome)] == ["o1/1/release/4/0", "o1/2/release/4/1"]
    state = desk.state()
    assert (state.status, state.closed_at) == ("refused", at(0))
    assert [item.answer for item in state.lines] == ["released", "released", "refused"]
    assert state.lines[2].available == 1


def test_a_refusal_waits_for_the_other_answers(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    assert desk.refuse(1).out == []
    assert desk.status == "placed"
    assert released(desk.allocate(2, ("a", 2))) == [(2, "a", 2)]
    assert desk.status == "refused"


def test_an_order_that_accepts_part_goes_on_without_refused_lines(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2), accept_partial=True))
    desk.refuse(1)
    assert desk.allocate(2, ("a", 2)).out == []
    assert desk.status == "reserved"
    desk.ship()
    assert desk.status == "shipped"


def test_an_order_that_accepts_part_but_gets_no_goods_is_refused(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2, service=True), accept_partial=True))
    desk.refuse(1)
    assert desk.status == "refused"


def test_a_queued_line_makes_a_backorder_until_it_is_served(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    desk.queue(1)
    desk.allocate(2, ("a", 2))
    assert desk.status == "backordered"
    desk.allocate(1, ("b", 2))
    assert desk.status == "reserved"


def test_an_allocation_for_an_earlier_attempt_is_given_back(reserved: Desk) -> None:
    reserved.expire()
    reserved.pay()
    outcome = reserved.allocate(1, ("a", 5), attempt=1)
    assert released(outcome) == [(1, "a", 5)]
    assert reserved.lines()[0].answer == "open"
    assert reserved.queue(1, attempt=1).out == []
    assert reserved.lines()[0].answer == "open"


def test_an_allocation_for_an_unknown_order_is_given_back(desk: Desk) -> None:
    outcome = desk.allocate(1, ("a", 5))
    assert released(outcome) == [(1, "a", 5)]
    assert outcome.states == {}
    assert events(outcome)[0].id == "o1/1/release/allocations-0-0/0"


# --- paid -----------------------------------------------------------------------------------------


def test_a_paid_order_does_not_expire(reserved: Desk) -> None:
    reserved.pay(when=10)
    state = reserved.state()
    assert (state.status, state.paid_at, state.due_at) == ("paid", at(10), None)
    outcome = reserved.expire(due=1800)
    assert (outcome.states, outcome.out) == ({}, [])


def test_paid_twice_is_paid_once(reserved: Desk) -> None:
    reserved.pay(when=10)
    reserved.pay(when=20)
    assert reserved.state().paid_at == at(10)


def test_an_order_paid_before_the_answers_is_paid_when_all_are_there(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    desk.pay()
    assert desk.status == "placed"
    desk.allocate(1, ("a", 2))
    desk.queue(2)
    assert desk.status == "backordered"
    desk.allocate(2, ("a", 2))
    assert desk.status == "paid"


def test_an_order_paid_after_it_expired_reserves_again(reserved: Desk) -> None:
    assert released(reserved.expire()) == [(1, "a", 3), (1, "b", 2)]
    assert reserved.status == "expired"
    (again,) = events(reserved.pay())
    assert (again.id, again.attempt, again.quantity) == ("o1/1/reserve/2", 2, 5)
    state = reserved.state()
    assert (state.status, state.closed_at, state.due_at) == ("placed", None, None)
    reserved.allocate(1, ("b", 5), attempt=2)
    assert reserved.status == "paid"


def test_a_paid_order_that_stock_refuses_is_for_people_to_solve(reserved: Desk) -> None:
    reserved.expire()
    reserved.pay()
    reserved.refuse(1, attempt=2)
    assert reserved.status == "paid_unfulfilled"
    assert reserved.state().closed_at is not None


def test_an_order_paid_after_it_was_cancelled_is_for_people_to_solve(reserved: Desk) -> None:
    reserved.cancel()
    assert reserved.pay().out == []
    assert reserved.status == "paid_unfulfilled"
    reserved.cancel()
    assert reserved.status == "cancelled"


def test_paid_after_a_cancellation_is_the_same_whenever_stock_answers(desk: Desk) -> None:
    desk.send(web_order())
    desk.cancel()
    desk.pay()
    assert released(desk.allocate(1, ("a", 2))) == [(1, "a", 2)]
    assert desk.status == "paid_unfulfilled"


def test_cancelled_again_after_the_money_came_is_the_same_whenever_stock_answers(
    desk: Desk,
) -> None:
    desk.send(web_order())
    desk.cancel()
    desk.pay()
    desk.cancel()
    desk.allocate(1, ("a", 2))
    assert desk.status == "cancelled"


def test_an_expired_order_whose_lines_are_forgotten_cannot_reserve_again(reserved: Desk) -> None:
    reserved.expire()
    reserved.expire()
    assert reserved.state().reduced
    assert reserved.pay().out == []
    assert reserved.status == "paid_unfulfilled"


# --- shipped --------------------------------------------------------------------------------------


def test_a_shipment_takes_the_lines_places_in_order_and_sells(reserved: Desk) -> None:
    outcome = reserved.ship((1, 4))
    assert shipped(outcome) == [(1, "a", 3, 3), (1, "b", 1, 1)]
    assert sold(outcome) == [(1, "a", 3, Decimal(6)), (1, "b", 1, Decimal(2))]
    assert (reserved.status, reserved.lines()[0].shipped) == ("part_shipped", 4)
    assert reserved.lines()[0].parts == [part(("b", 1))]
    outcome = reserved.ship(when=30)
    assert shipped(outcome) == [(1, "b", 1, 1)]
    assert (reserved.status, reserved.state().closed_at) == ("shipped", at(30))


def test_a_line_shipped_in_parts_costs_its_amount_to_the_last_cent(desk: Desk) -> None:
    desk.send(web_order(line(quantity=3, amount="10")))
    desk.allocate(1, ("a", 3))
    amounts = [sold(desk.ship((1, 1)))[0][3] for _ in range(3)]
    assert amounts == [Decimal("3.3333"), Decimal("3.3334"), Decimal("3.3333")]


def test_services_are_sold_with_the_first_shipment(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2), line(3, sku="POST", quantity=1, service=True)))
    desk.allocate(1, ("a", 2))
    desk.allocate(2, ("a", 2))
    outcome = desk.ship((2, 2))
    assert shipped(outcome) == [(2, "a", 2, 2)]
    assert [(sale[0], sale[1], sale[2]) for sale in sold(outcome)] == [(2, "a", 2), (3, "a", 1)]
    assert [sale[0] for sale in sold(desk.ship())] == [1]
    assert desk.status == "shipped"


def test_what_was_shipped_after_expiry_has_left(reserved: Desk) -> None:
    reserved.expire()
    outcome = reserved.ship((1, 2))
    assert shipped(outcome) == [(1, "a", 2, 0)]
    assert reserved.status == "expired"
    assert shipped(reserved.ship()) == [(1, "a", 3, 0)]
    assert reserved.status == "shipped"


def test_what_was_shipped_before_stocks_answer_has_left(desk: Desk) -> None:
    desk.send(web_order())
    outcome = desk.ship()
    assert shipped(outcome) == [(1, "a", 2, 0)]
    assert released(outcome) == [(1, None, 2)]
    assert desk.status == "shipped"
    assert released(desk.allocate(1, ("b", 2))) == [(1, "b", 2)]
    assert desk.status == "shipped"


def test_what_was_shipped_before_stocks_answer_is_the_goods_not_just_the_postage(
    desk: Desk,
) -> None:
    desk.send(web_order(line(1), line(2, sku="POST", quantity=1, service=True)))
    assert [sale[0] for sale in sold(desk.ship())] == [1, 2]
    assert desk.status == "shipped"


def test_what_left_before_the_answer_is_given_back_of_the_allocation(desk: Desk) -> None:
    desk.send(web_order(line(quantity=5)))
    desk.ship((1, 3))
    outcome = desk.allocate(1, ("a", 1), ("b", 4))
    assert released(outcome) == [(1, "b", 3)]
    assert desk.lines()[0].parts == [part(("a", 1)), part(("b", 1))]
    assert desk.status == "part_shipped"


def test_a_shipment_beyond_what_stands_reserved_takes_it_first(desk: Desk) -> None:
    desk.send(web_order(line(quantity=5), ship_from=["b", "a"]))
    desk.ship((1, 2))
    desk.allocate(1, ("a", 3), ("b", 2))
    assert shipped(desk.ship((1, 3))) == [(1, "a", 3, 3)]
    assert desk.status == "shipped"


def test_a_refused_line_that_left_all_the_same_is_sold(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2), accept_partial=True))
    desk.refuse(1)
    desk.allocate(2, ("b", 2))
    assert shipped(desk.ship((1, 1), (2, 2))) == [(1, "a", 1, 0), (2, "b", 2, 2)]
    assert desk.status == "shipped"


def test_a_shipment_of_more_than_was_ordered_is_refused(reserved: Desk) -> None:
    reserved.ship((1, 4))
    with pytest.raises(Refused) as caught:
        reserved.ship((1, 2))
    assert caught.value.reason == "ships_more_than_ordered"


def test_a_shipment_of_an_unknown_line_is_refused(reserved: Desk) -> None:
    with pytest.raises(Refused) as caught:
        reserved.ship((1, 1), (9, 1))
    assert caught.value.reason == "unknown_line"


def test_a_shipment_of_nothing_is_refused(reserved: Desk) -> None:
    reserved.ship()
    with pytest.raises(Refused) as caught:
        reserved.ship()
    assert caught.value.reason == "nothing_to_ship"


def test_a_shipment_without_lines_leaves_out_what_is_not_reserved(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    desk.allocate(1, ("a", 2))
    desk.queue(2)
    assert shipped(desk.ship()) == [(1, "a", 2, 2)]
    assert desk.status == "part_shipped"


def test_a_shipment_of_an_order_whose_lines_are_forgotten_is_refused(reserved: Desk) -> None:
    reserved.expire()
    reserved.expire()
    with pytest.raises(Refused) as caught:
        reserved.ship((1, 1))
    assert caught.value.reason == "order_forgotten"


def test_an_event_sent_twice_counts_once(reserved: Desk) -> None:
    event = shipment((1, 2))
    reserved.send(event)
    outcome = reserved.send(event)
    assert outcome.out == []
    assert reserved.state().cause["orders"] == 2
    assert reserved.lines()[0].shipped == 2


def test_only_the_newest_events_of_an_order_are_remembered(reserved: Desk) -> None:
    for _ in range(SEEN_MAX + 5):
        reserved.deliver()
    assert len(reserved.state().seen) == SEEN_MAX


# --- delivered ------------------------------------------------------------------------------------


def test_a_shipped_order_is_delivered(reserved: Desk) -> None:
    reserved.ship(when=30)
    reserved.deliver(when=90)
    state = reserved.state()
    assert (state.status, state.delivered_at, state.closed_at) == ("delivered", at(90), at(30))


def test_a_delivery_that_is_told_before_its_shipment_counts(reserved: Desk) -> None:
    reserved.deliver(when=90)
    assert reserved.status == "reserved"
    reserved.ship(when=30)
    assert reserved.status == "delivered"


def test_the_delivery_of_a_first_part_is_not_that_of_the_rest(reserved: Desk) -> None:
    reserved.ship((1, 3), when=30)
    reserved.deliver(when=60)
    assert reserved.status == "part_shipped"
    reserved.ship(when=90)
    assert reserved.status == "shipped"


# --- cancelled and expired ------------------------------------------------------------------------


def test_a_cancelled_order_gives_everything_back(reserved: Desk) -> None:
    assert released(reserved.cancel(when=20)) == [(1, "a", 3), (1, "b", 2)]
    state = reserved.state()
    assert (state.status, state.closed_at) == ("cancelled", at(20))
    assert state.due_at == at(20 + 90 * DAY)
    assert state.lines[0].parts == []


def test_a_cancellation_waits_for_open_answers(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    desk.allocate(1, ("a", 2))
    assert desk.cancel().out == []
    assert (desk.status, desk.state().due_at) == ("placed", None)
    assert released(desk.queue(2)) == [(1, "a", 2), (2, None, 2)]
    assert desk.status == "cancelled"


def test_what_has_left_of_a_cancelled_order_stays_shipped(reserved: Desk) -> None:
    reserved.ship((1, 3))
    assert released(reserved.cancel()) == [(1, "b", 2)]
    assert (reserved.status, reserved.lines()[0].shipped) == ("shipped", 3)


def test_an_order_that_has_left_cannot_be_cancelled(reserved: Desk) -> None:
    reserved.ship()
    with pytest.raises(Refused) as caught:
        reserved.cancel()
    assert caught.value.reason == "already_shipped"


def test_a_tills_sale_cannot_be_cancelled(desk: Desk) -> None:
    desk.send(till_sale())
    with pytest.raises(Refused) as caught:
        desk.cancel("p1")
    assert caught.value.reason == "already_shipped"


def test_an_expired_order_that_is_cancelled_does_not_reserve_again(reserved: Desk) -> None:
    reserved.expire()
    reserved.cancel()
    assert reserved.pay().out == []
    assert reserved.status == "paid_unfulfilled"


def test_an_order_that_expires_before_the_answers_gives_them_back_later(desk: Desk) -> None:
    desk.send(web_order(line(1), line(2)))
    outcome = desk.expire()
    assert released(outcome) == [(1, None, 2), (2, None, 2)]
    assert desk.queue(2).out == []
    assert released(desk.allocate(1, ("a", 2))) == [(1, "a", 2)]
    assert desk.status == "expired"


def test_time_means_nothing_with_another_date(reserved: Desk) -> None:
    outcome = reserved.expire(due=1799)
    assert (outcome.states, outcome.out) == ({}, [])
    assert (Desk().fold.table, reserved.status) == ({}, "reserved")


def test_time_means_nothing_for_an_unknown_order(desk: Desk) -> None:
    expire = OrderExpire(id="x", occurred_at=at(0), order_id="o9", due_at=at(0))
    assert desk.send(expire).states == {}


def test_ninety_days_after_its_end_an_order_keeps_what_recognises_it(reserved: Desk) -> None:
    reserved.ship(when=10)
    before = reserved.state()
    reserved.expire()
    state = reserved.state()
    assert (state.reduced, state.lines, state.due_at) == (True, [], None)
    assert (state.status, state.digest, state.seen) == ("shipped", before.digest, before.seen)
    assert reserved.send(web_order(line(quantity=5, amount="10"))).out == []


# --- returned -------------------------------------------------------------------------------------


def test_goods_that_come_back_are_restocked_and_subtracted(reserved: Desk) -> None:
    reserved.ship()
    outcome = reserved.take_back(back(quantity=2))
    restock, fact = events(outcome)
    assert isinstance(restock, ReturnStock)
    assert (restock.quantity, restock.location_id) == (2, "a")
    assert (fact.channel, fact.unmatched) == ("web", False)
    assert sold(outcome) == [(1, "a", -2, Decimal(-10))]
    assert reserved.lines()[0].returned == 2
    assert reserved.status == "shipped"


def test_goods_that_cannot_be_sold_again_are_not_restocked(reserved: Desk) -> None:
    reserved.ship()
    outcome = reserved.take_back(back(quantity=1, restock=False))
    (fact,) = events(outcome)
    assert isinstance(fact, SalesRecorded)


def test_more_than_was_sold_comes_back_unmatched(reserved: Desk) -> None:
    reserved.ship((1, 2))
    outcome = reserved.take_back(back(quantity=3))
    (fact,) = [event for event in events(outcome) if isinstance(event, SalesRecorded)]
    assert (fact.unmatched, fact.id) == (True, "orders/0/2/unmatched")
    assert reserved.lines()[0].returned == 0


def test_matched_and_unmatched_lines_of_one_return_are_told_apart(reserved: Desk) -> None:
    reserved.ship()
    outcome = reserved.take_back(back(1), back(2, sku="OTHER"))
    facts = [event for event in events(outcome) if isinstance(event, SalesRecorded)]
    assert [(fact.unmatched, len(fact.lines)) for fact in facts] == [(False, 1), (True, 1)]
    assert len({fact.id for fact in facts}) == 2


def test_another_sku_under_the_lines_number_is_unmatched(reserved: Desk) -> None:
    reserved.ship()
    outcome = reserved.take_back(back(1, sku="OTHER"))
    assert events(outcome)[1].unmatched


def test_a_return_fills_in_what_its_order_knows(desk: Desk) -> None:
    desk.send(till_sale(customer_id="c1", ship_to=ShipTo(country="EG"), priority="high"))
    fact = events(desk.take_back(back(), order_id="p1", channel="web"))[1]
    assert (fact.channel, fact.customer_id) == ("pos", "c1")
    assert (fact.ship_to, fact.priority) == (ShipTo(country="EG"), "high")
    fact = events(desk.take_back(back(), order_id="p1", customer_id="c2"))[1]
    assert fact.customer_id == "c2"


def test_a_return_of_an_unknown_order_is_applied_and_marked(desk: Desk) -> None:
    outcome = desk.take_back(back(), order_id="r1", channel="import")
    restock, fact = events(outcome)
    assert isinstance(restock, ReturnStock)
    assert (fact.channel, fact.unmatched) == ("import", True)
    state = desk.state("r1")
    assert (state.status, state.closed_at) == ("unmatched_return", at(0))
    assert state.due_at == at(90 * DAY)
    desk.expire("r1")
    assert desk.state("r1").reduced


def test_a_return_sent_twice_counts_once(desk: Desk) -> None:
    desk.take_back(back(), order_id="r1")
    desk.made -= 1
    assert desk.take_back(back(), order_id="r1").out == []


def test_an_order_may_be_placed_after_its_unmatched_return(desk: Desk) -> None:
    desk.take_back(back())
    outcome = desk.send(web_order())
    assert isinstance(events(outcome)[0], ReserveStock)
    state = desk.state()
    assert (state.status, state.version, state.closed_at) == ("placed", 2, None)
    assert len(state.seen) == 1


# --- events before their order --------------------------------------------------------------------


def test_events_wait_for_their_order_and_follow_it(desk: Desk) -> None:
    desk.pay(when=5)
    desk.ship((1, 1), when=6)
    desk.deliver(when=7)
    state = desk.state()
    assert (state.status, len(state.early)) == ("early", 3)
    assert state.due_at == at(5 + 7 * DAY)
    outcome = desk.send(web_order(), recorded=8)
    assert [type(event) for event in events(outcome)] == [ReserveStock, ShipStock, SalesRecorded]
    fact = events(outcome)[2]
    assert (fact.cause.offset, fact.recorded_at, fact.id) == (1, at(6), "orders/0/1")
    state = desk.state()
    assert (state.status, state.paid_at, state.early) == ("part_shipped", at(5), [])
    assert state.due_at is None
    assert len({out.event.id for out in outcome.out}) == 3


def test_an_order_cancelled_before_it_was_placed_ends_with_the_answers(desk: Desk) -> None:
    desk.cancel()
    desk.send(web_order())
    assert released(desk.allocate(1, ("a", 2))) == [(1, "a", 2)]
    assert desk.status == "cancelled"


def test_events_whose_order_never_comes_become_dead_letters(desk: Desk) -> None:
    desk.pay(when=5)
    desk.ship((1, 1), when=6)
    outcome = desk.expire()
    assert [(dead.event.id, dead.refused.reason) for dead in outcome.dead] == [
        ("e1", "never_placed"),
        ("e2", "never_placed"),
    ]
    where = outcome.dead[1].arrival
    assert (where.topic, where.offset, where.recorded_at, where.key) == ("orders", 1, at(6), "o1")
    state = desk.state()
    assert (state.status, state.early, state.reduced, state.due_at) == ("early", [], True, None)


def test_an_event_that_was_given_up_may_be_sent_again(desk: Desk) -> None:
    desk.pay(when=5)
    desk.expire()
    desk.send(web_order(seconds=8 * DAY))
    desk.made = 0
    desk.pay()
    assert desk.state().paid_at is not None


def test_a_waiting_event_that_does_not_fit_its_order_becomes_a_dead_letter(desk: Desk) -> None:
    desk.ship((9, 1))
    desk.pay()
    outcome = desk.send(web_order())
    assert [dead.refused.reason for dead in outcome.dead] == ["unknown_line"]
    assert desk.state().paid_at is not None


def test_too_many_events_before_an_order_are_refused(desk: Desk) -> None:
    for _ in range(20):
        desk.deliver()
    with pytest.raises(Refused) as caught:
        desk.deliver()
    assert caught.value.reason == "too_many_early"


def test_events_that_wait_beside_a_return_become_dead_letters_first(desk: Desk) -> None:
    desk.take_back(back())
    desk.pay()
    assert desk.state().due_at == at(7 * DAY)
    assert len(desk.expire().dead) == 1
    assert desk.state().due_at == at(90 * DAY)
    assert not desk.state().reduced


def test_events_that_wait_beside_a_return_are_not_forgotten_with_it(desk: Desk) -> None:
    desk.take_back(back())
    desk.pay()
    desk.deliver(when=100 * DAY)
    state = desk.state()
    assert (len(state.early), state.reduced) == (2, False)
    assert state.due_at == at(7 * DAY)


# --- every step -----------------------------------------------------------------------------------


def test_each_step_that_writes_raises_the_version_by_one(reserved: Desk) -> None:
    versions = [reserved.state().version]
    for step in (reserved.pay, reserved.ship, reserved.deliver):
        step()
        versions.append(reserved.state().version)
    assert versions == [2, 3, 4, 5]


def test_commands_say_when_what_caused_them_happened(reserved: Desk) -> None:
    (first, *_) = events(reserved.cancel(when=44))
    assert first.occurred_at == at(44)
    assert reserved.state().occurred_at == at(44)


def test_an_order_with_the_same_place_twice_asks_it_once(desk: Desk) -> None:
    (asked,) = events(desk.send(web_order(ship_from=["a", "b", "a"])))
    assert asked.ship_from == ["a", "b"]


def test_a_state_that_was_reduced_is_small(desk: Desk) -> None:
    lines = [line(number) for number in range(1, 200)]
    desk.send(till_sale(*lines))
    desk.expire("p1")
    assert replace(desk.state("p1"), cause={}).lines == []
    assert desk.now == timedelta(days=90).total_seconds()
