"""What the stock fold promises, a sentence a test."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from runtime.codec import encode
from schemas.arrivals import Refused
from schemas.events.orders import Part
from schemas.events.stock import (
    CountStock,
    LineAllocated,
    LineQueued,
    LineRefused,
    ReceiveStock,
    SeenCommands,
    StockMoved,
)
from schemas.topics import ALLOCATIONS, STOCK_COMMANDS, STOCK_MOVEMENTS
from stream_processors.stock.allocation import allocate
from stream_processors.stock.recent import ENTRIES_MAX
from stream_processors.stock.repeats import PER_SLOT, REMEMBERED, SLOTS
from tests.support.trade import SKU, StockRoom, answers, at, movements


@pytest.fixture
def room() -> StockRoom:
    """A known product that may not be queued for, of which nothing is there."""
    room = StockRoom()
    room.product()
    return room


def counted(moment: datetime) -> CountStock:
    return CountStock(id="n", occurred_at=moment, sku=SKU, location_id="a", counted=5)


def part(place: str, quantity: int) -> Part:
    return Part(location_id=place, quantity=quantity)


# --- facts ----------------------------------------------------------------------------------------


def test_a_sale_takes_units_and_says_everything_about_it(room: StockRoom) -> None:
    room.receive("a", 10)
    outcome = room.sell("a", 3, when=5, order_id="p7", line_no=2, by="ann")
    (out,) = outcome.out
    assert out.topic is STOCK_MOVEMENTS
    fact = out.event
    assert isinstance(fact, StockMoved)
    assert (fact.id, fact.sku, fact.by) == ("stock-commands/0/1", SKU, "ann")
    (moved,) = fact.movements
    assert (moved.kind, moved.on_hand_delta, moved.on_hand) == ("sell", -3, 7)
    assert (moved.reserved_delta, moved.in_transit_delta) == (0, 0)
    assert (moved.version, moved.partition, moved.offset) == (2, 0, 1)
    assert (moved.order_id, moved.line_no, moved.by) == ("p7", 2, "ann")
    assert moved.occurred_at == moved.recorded_at == moved.known_at == at(5)
    assert moved.flags == []


def test_history_was_known_when_its_source_says(room: StockRoom) -> None:
    room.now = 1000
    outcome = room.sell("a", 1, when=1, known_at=at(2), backfill=True)
    (moved,) = movements(outcome.out)
    assert (moved.known_at, moved.recorded_at) == (at(2), at(1000))
    assert moved.backfill
    assert room.level("a").backfill
    room.sell("a", 1)
    assert not room.level("a").backfill


def test_a_receipt_carries_its_document_and_reason(room: StockRoom) -> None:
    outcome = room.receive("a", 10, document="DN-1", reason="delivery")
    (moved,) = movements(outcome.out)
    assert (moved.document, moved.reason, moved.order_id) == ("DN-1", "delivery", None)


def test_a_level_says_what_led_to_it(room: StockRoom) -> None:
    room.receive("a", 10)
    assert room.level("a").cause == {"stock-commands": 0}
    assert room.sku_state().cause == {"products": 0, "stock-commands": 0}


# --- tills ----------------------------------------------------------------------------------------


def test_a_tills_sale_is_applied_below_zero_and_says_oversold(room: StockRoom) -> None:
    room.receive("a", 2)
    (moved,) = movements(room.sell("a", 5).out)
    assert (moved.on_hand, moved.flags) == (-3, ["oversold"])
    assert room.level("a").on_hand == -3


def test_a_sale_of_an_unknown_product_is_applied_and_marked() -> None:
    room = StockRoom()
    (moved,) = movements(room.sell("a", 1).out)
    assert moved.flags == ["unknown_product", "oversold"]
    assert room.level("a").unknown_product
    room.product()
    room.sell("a", 1)
    assert not room.level("a").unknown_product


def test_a_deleted_product_is_unknown_again(room: StockRoom) -> None:
    room.delete_product()
    assert not room.sku_state().known
    (moved,) = movements(room.receive("a", 1).out)
    assert moved.flags == ["unknown_product"]


def test_a_retired_product_stays_known(room: StockRoom) -> None:
    room.product(retired=True)
    assert room.sku_state().known


# --- services -------------------------------------------------------------------------------------


def test_orders_move_nothing_of_a_service(room: StockRoom) -> None:
    room.product(stocked=False)
    for outcome in (
        room.sell("a", 1),
        room.release("o1", 1, "a"),
        room.ship("o1", 1, "a", reserved=1),
        room.give_back("o1", 1, "a"),
    ):
        assert outcome.out == []
        assert outcome.states == {}


def test_a_service_is_allocated_at_once_and_nowhere(room: StockRoom) -> None:
    room.product(stocked=False)
    outcome = room.reserve("o1", 5, "a", "b")
    (said,) = answers(outcome.out)
    assert isinstance(said, LineAllocated)
    assert said.parts == []
    assert movements(outcome.out) == []


def test_what_is_received_or_adjusted_of_a_service_has_happened(room: StockRoom) -> None:
    room.product(stocked=False)
    room.receive("a", 5)
    room.adjust("a", -2)
    assert room.levels() == {"a": (3, 0, 0)}


def test_a_product_that_becomes_a_service_keeps_no_reservation_alive(room: StockRoom) -> None:
    room.receive("a", 5)
    room.reserve("o1", 2, "a")
    room.product(stocked=False)
    room.ship("o1", 2, "a", reserved=2)
    assert room.levels() == {"a": (5, 0, 0)}


# --- reservations ---------------------------------------------------------------------------------


def test_a_line_is_reserved_at_the_first_place_that_has_it_all(room: StockRoom) -> None:
    room.receive("a", 10)
    room.receive("b", 15)
    outcome = room.reserve("o1", 13, "a", "b", line=4, attempt=2)
    (said,) = answers(outcome.out)
    assert said.parts == [part("b", 13)]
    assert (said.order_id, said.line_no, said.attempt, said.sku) == ("o1", 4, 2, SKU)
    assert said.id == "stock-commands/0/2/0"
    (moved,) = movements(outcome.out)
    assert (moved.kind, moved.reserved_delta, moved.on_hand_delta) == ("reserve", 13, 0)
    assert (moved.order_id, moved.line_no) == ("o1", 4)
    assert [out.topic for out in outcome.out] == [STOCK_MOVEMENTS, ALLOCATIONS]


def test_a_split_never_takes_more_than_a_place_has(room: StockRoom) -> None:
    room.receive("a", 10)
    room.receive("b", 12)
    (said,) = answers(room.reserve("o1", 13, "a", "b").out)
    assert said.parts == [part("a", 10), part("b", 3)]
    assert room.levels() == {"a": (10, 10, 0), "b": (12, 3, 0)}


def test_thirteen_of_ten_and_fifteen_come_from_the_second() -> None:
    assert allocate(13, [("a", 10), ("b", 15)]) == [part("b", 13)]


def test_the_fewest_places_win_and_then_the_order() -> None:
    assert allocate(9, [("a", 2), ("b", 5), ("c", 4), ("d", 8)]) == [part("a", 2), part("d", 7)]
    assert allocate(7, [("a", 1), ("b", 4), ("c", 4)]) == [part("b", 4), part("c", 3)]


def test_a_place_named_twice_gives_its_units_once() -> None:
    assert allocate(8, [("a", 5), ("a", 5)]) is None


def test_a_reservation_leaves_the_safety_stock(room: StockRoom) -> None:
    room.product(safety_stock=3)
    room.receive("a", 10)
    (said,) = answers(room.reserve("o1", 8, "a").out)
    assert isinstance(said, LineRefused)
    assert said.available == 7
    (said,) = answers(room.reserve("o1", 7, "a").out)
    assert isinstance(said, LineAllocated)


def test_too_few_units_are_refused_with_what_the_asked_places_have(room: StockRoom) -> None:
    for place, quantity in (("a", 2), ("b", 3), ("c", 50)):
        room.receive(place, quantity)
    outcome = room.reserve("o1", 6, "a", "b")
    (said,) = answers(outcome.out)
    assert isinstance(said, LineRefused)
    assert said.available == 5
    assert movements(outcome.out) == []


def test_places_below_zero_offer_nothing(room: StockRoom) -> None:
    room.receive("a", 5)
    room.sell("b", 4)
    (said,) = answers(room.reserve("o1", 6, "a", "b").out)
    assert said.available == 5


def test_a_release_gives_back_and_never_goes_below_zero(room: StockRoom) -> None:
    room.receive("a", 5)
    room.reserve("o1", 3, "a")
    room.release("o1", 2, "a")
    assert room.levels() == {"a": (5, 1, 0)}
    (moved,) = movements(room.release("o1", 9, "a").out)
    assert moved.reserved_delta == -1
    assert room.release("o1", 9, "a").out == []


def test_a_shipment_takes_units_and_their_reservation(room: StockRoom) -> None:
    room.receive("a", 5)
    room.reserve("o1", 3, "a")
    (moved,) = movements(room.ship("o1", 3, "a", reserved=3).out)
    assert (moved.kind, moved.on_hand_delta, moved.reserved_delta) == ("ship", -3, -3)
    assert room.levels() == {"a": (2, 0, 0)}


def test_a_late_shipment_without_reservation_may_oversell(room: StockRoom) -> None:
    room.receive("a", 2)
    (moved,) = movements(room.ship("o1", 3, "a", reserved=0).out)
    assert (moved.on_hand, moved.flags) == (-1, ["oversold"])


# --- the queue ------------------------------------------------------------------------------------


def test_a_line_waits_within_the_backorder_limit(room: StockRoom) -> None:
    room.product(backorder_limit=10)
    room.receive("a", 2)
    (said,) = answers(room.reserve("o1", 6, "a").out)
    assert isinstance(said, LineQueued)
    assert said.available == 2
    (said,) = answers(room.reserve("o2", 5, "a").out)
    assert isinstance(said, LineRefused)
    (said,) = answers(room.reserve("o3", 4, "a").out)
    assert isinstance(said, LineQueued)
    assert [line.order_id for line in room.sku_state().queue] == ["o1", "o3"]


def test_a_new_line_does_not_overtake_one_that_waits_for_the_same_place(room: StockRoom) -> None:
    room.product(backorder_limit=10)
    room.receive("a", 2)
    room.receive("b", 2)
    room.reserve("o1", 5, "a")
    (said,) = answers(room.reserve("o2", 1, "a").out)
    assert isinstance(said, LineQueued)
    assert said.available == 0
    (said,) = answers(room.reserve("o3", 3, "a", "b").out)
    assert isinstance(said, LineQueued)


def test_a_new_line_may_have_what_nobody_waits_for(room: StockRoom) -> None:
    room.product(backorder_limit=10)
    room.receive("b", 2)
    room.reserve("o1", 5, "a")
    (said,) = answers(room.reserve("o2", 2, "a", "b").out)
    assert said.parts == [part("b", 2)]


def test_a_receipt_serves_the_queue_in_the_same_step_oldest_first(room: StockRoom) -> None:
    room.product(backorder_limit=100)
    for order, quantity in (("o1", 5), ("o2", 3), ("o3", 4)):
        room.reserve(order, quantity, "a")
    outcome = room.receive("a", 9)
    assert [said.order_id for said in answers(outcome.out)] == ["o1", "o2"]
    assert [said.id[-2:] for said in answers(outcome.out)] == ["/0", "/1"]
    assert [moved.kind for moved in movements(outcome.out)] == ["receive", "reserve", "reserve"]
    assert [moved.order_id for moved in movements(outcome.out)] == [None, "o1", "o2"]
    assert [line.order_id for line in room.sku_state().queue] == ["o3"]
    assert room.levels() == {"a": (9, 8, 0)}


def test_a_line_that_still_waits_holds_its_places_back(room: StockRoom) -> None:
    room.product(backorder_limit=100)
    room.reserve("o1", 5, "a")
    room.reserve("o2", 1, "a", "b")
    room.reserve("o3", 1, "c")
    assert answers(room.receive("a", 4).out) == []
    (said,) = answers(room.receive("b", 1).out)
    assert (said.order_id, said.parts) == ("o2", [part("b", 1)])


@pytest.mark.parametrize(
    "raises",
    [
        lambda room: room.adjust("a", 1),
        lambda room: room.count("a", 3),
        lambda room: room.release("o1", 1, "a"),
        lambda room: room.give_back("p", 1, "a"),
        lambda room: room.receive("a", 1, transfer_id="t"),
        lambda room: room.product(backorder_limit=9, safety_stock=0),
        lambda room: room.delete_product(),
    ],
)
def test_whatever_raises_availability_serves_the_queue(raises: object) -> None:
    room = StockRoom()
    room.product(backorder_limit=9, safety_stock=1)
    room.receive("a", 2)
    room.reserve("o1", 1, "a")
    (said,) = answers(room.reserve("o2", 1, "a").out)
    assert isinstance(said, LineQueued)
    outcome = raises(room)  # type: ignore[operator]
    (said,) = answers(outcome.out)
    assert (said.order_id, said.parts) == ("o2", [part("a", 1)])


def test_a_line_that_leaves_the_queue_lets_others_through(room: StockRoom) -> None:
    room.product(backorder_limit=9)
    room.receive("a", 2)
    room.reserve("o1", 5, "a", line=1)
    room.reserve("o1", 2, "a", line=2)
    outcome = room.release("o1", 5, line=1)
    (said,) = answers(outcome.out)
    assert (said.order_id, said.line_no) == ("o1", 2)
    assert room.sku_state().queue == []
    assert room.release("o1", 5, line=1).states == {}


def test_facts_of_the_queue_served_by_a_product_name_its_record(room: StockRoom) -> None:
    room.product(backorder_limit=9, safety_stock=1)
    room.receive("a", 1)
    room.reserve("o1", 1, "a")
    (moved,) = movements(room.product(backorder_limit=9).out)
    assert moved.command_id == "products/0/2"


# --- transfers ------------------------------------------------------------------------------------


def test_goods_of_a_transfer_are_in_transit_until_received(room: StockRoom) -> None:
    room.receive("a", 10)
    outcome = room.transfer("a", "b", 4)
    assert [moved.kind for moved in movements(outcome.out)] == ["transfer_out", "transfer_in"]
    assert room.levels() == {"a": (6, 0, 0), "b": (0, 0, 4)}
    room.receive("b", 3, transfer_id="t")
    assert room.levels()["b"] == (3, 0, 1)


def test_more_than_was_in_transit_is_received_and_marked(room: StockRoom) -> None:
    room.transfer("a", "b", 4)
    (moved,) = movements(room.receive("b", 6, transfer_id="t").out)
    assert moved.flags == ["transfer_excess"]
    assert room.levels()["b"] == (6, 0, 0)


# --- counts ---------------------------------------------------------------------------------------


def test_a_count_now_sets_the_level(room: StockRoom) -> None:
    room.receive("a", 10, when=0)
    (moved,) = movements(room.count("a", 8, when=60).out)
    assert (moved.kind, moved.on_hand_delta, moved.on_hand) == ("count", -2, 8)
    assert room.level("a").counted_at == at(60)


def test_a_count_says_what_was_there_at_its_time(room: StockRoom) -> None:
    room.receive("a", 10, when=0)
    room.sell("a", 3, when=120)
    room.count("a", 9, when=60)
    assert room.level("a").on_hand == 6


def test_a_sale_at_the_very_time_of_a_count_was_counted(room: StockRoom) -> None:
    room.receive("a", 10, when=0)
    room.sell("a", 3, when=60)
    room.count("a", 9, when=60)
    assert room.level("a").on_hand == 9


def test_a_sale_at_the_very_time_of_a_count_was_counted_if_it_comes_later_too(
    room: StockRoom,
) -> None:
    room.count("a", 9, when=60)
    room.sell("a", 3, when=60)
    assert room.level("a").on_hand == 9


def test_a_sale_that_arrives_after_a_count_but_happened_before_was_counted(
    room: StockRoom,
) -> None:
    room.receive("a", 10, when=0)
    room.count("a", 7, when=60)
    sale, correction = movements(room.sell("a", 3, when=30).out)
    assert (sale.kind, sale.on_hand_delta, sale.flags) == ("sell", -3, ["late"])
    assert (correction.kind, correction.on_hand_delta) == ("count_correction", 3)
    assert correction.flags == ["late"]
    assert (sale.version, correction.version) == (3, 4)
    assert room.level("a").on_hand == 7
    assert room.level("a").version == 4


def test_a_late_shipment_frees_its_reservation_for_those_who_wait(room: StockRoom) -> None:
    room.product(backorder_limit=9)
    room.receive("a", 5, when=0)
    room.reserve("o1", 2, "a")
    room.reserve("o2", 4, "a")
    room.count("a", 4, when=60)
    (said,) = answers(room.ship("o1", 2, "a", reserved=2, when=30).out)
    assert said.order_id == "o2"
    assert room.levels() == {"a": (4, 4, 0)}


def test_a_count_older_than_the_newest_changes_nothing_but_is_noted(room: StockRoom) -> None:
    room.count("a", 7, when=60)
    (moved,) = movements(room.count("a", 3, when=30).out)
    assert (moved.on_hand_delta, moved.on_hand, moved.flags) == (0, 7, ["late"])
    assert room.level("a").counted_at == at(60)


def test_of_two_counts_at_one_time_the_later_record_counts(room: StockRoom) -> None:
    room.count("a", 7, when=60)
    room.count("a", 3, when=60)
    assert room.level("a").on_hand == 3


def test_a_count_from_before_what_is_remembered_is_refused(room: StockRoom) -> None:
    room.receive("a", 10, when=0)
    room.sell("a", 1, when=1200)
    with pytest.raises(Refused, match="send an adjustment") as caught:
        room.count("a", 9, when=-1)
    assert caught.value.reason == "count_too_old"
    room.count("a", 9, when=0)
    assert room.level("a").on_hand == 8


def test_a_refused_count_may_be_sent_again(room: StockRoom) -> None:
    before = room.sku_state()
    room.receive("a", 10, when=0)
    room.sell("a", 1, when=1200)
    with pytest.raises(Refused):
        room.count("a", 9, when=-1)
    assert room.sku_state().outside == before.outside + 1


def test_a_count_from_the_future_is_refused(room: StockRoom) -> None:
    with pytest.raises(Refused) as caught:
        room.fold.apply(STOCK_COMMANDS, counted(at(901)), at(0))
    assert caught.value.reason == "count_in_future"
    room.fold.apply(STOCK_COMMANDS, counted(at(900)), at(0))
    assert room.level("a").on_hand == 5


def test_busy_places_remember_a_bounded_number_of_movements(room: StockRoom) -> None:
    for second in range(ENTRIES_MAX + 5):
        room.sell("a", 1, when=second)
    level = room.level("a")
    assert len(level.recent) == ENTRIES_MAX
    assert level.recent_since == level.recent[0][0] - 1000
    room.count("a", 100, when=5)
    assert room.level("a").on_hand == 100 - (ENTRIES_MAX - 1)


def test_movements_of_one_millisecond_are_remembered_as_one(room: StockRoom) -> None:
    for _ in range(ENTRIES_MAX + 5):
        room.sell("a", 1, when=7)
    assert len(room.level("a").recent) == 1


# --- sent twice -----------------------------------------------------------------------------------


def test_an_outside_command_sent_twice_counts_once(room: StockRoom) -> None:
    room.receive("a", 10, id="r1")
    outcome = room.receive("a", 10, id="r1")
    assert outcome.out == []
    assert list(outcome.states) == [f"{SKU}|"]
    assert room.sku_state().cause["stock-commands"] == 1
    assert room.levels() == {"a": (10, 0, 0)}


def test_the_newest_thousand_outside_commands_are_recognised() -> None:
    room = StockRoom()
    room.fold.careful = False
    for number in range(REMEMBERED + PER_SLOT + 50):
        room.receive("a", 1, id=f"r{number}")
    there = room.level("a").on_hand
    for number in range(150, REMEMBERED + PER_SLOT + 50):
        room.receive("a", 1, id=f"r{number}")
    assert room.level("a").on_hand == there
    slots = [state for state in room.fold.table.values() if isinstance(state, SeenCommands)]
    assert len(slots) == SLOTS
    assert max(len(encode(slot)) for slot in slots) < 1200
    assert len(encode(room.sku_state())) < 300


def test_keys_of_what_belongs_to_a_sku_end_in_a_bar(room: StockRoom) -> None:
    room.receive("#0", 1)
    keys = set(room.fold.table)
    assert keys == {f"{SKU}|", f"{SKU}|#0|", f"{SKU}|#0"}


def test_the_same_sku_twice_in_an_order_is_decided_line_by_line(room: StockRoom) -> None:
    room.receive("a", 3)
    (first,) = answers(room.reserve("o1", 2, "a", line=1).out)
    (second,) = answers(room.reserve("o1", 2, "a", line=2).out)
    assert isinstance(first, LineAllocated)
    assert isinstance(second, LineRefused)
    assert second.available == 1


def test_times_with_other_zones_are_the_same_instants(room: StockRoom) -> None:
    room.receive("a", 10, when=0)
    there = at(0).astimezone(timezone(timedelta(hours=2)))
    event = ReceiveStock(id="z", occurred_at=there, sku=SKU, location_id="a", quantity=1)
    room.fold.apply(STOCK_COMMANDS, event, at(1))
    assert room.level("a").recent == [(int(at(0).timestamp() * 1000), 11)]
