"""The stock fold held against stock on paper, whatever comes in whatever order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.arrivals import Refused
from schemas.events.stock import LineAllocated, LineQueued, LineRefused
from stream_processors.engine.outcome import Out
from tests.support.plain_stock import PlainLevel, PlainShelf
from tests.support.trade import StockRoom, answers, movements

PLACES = ("a", "b", "c")
KINDS = ("sell", "receive", "adjust", "return", "ship", "count")
Said = tuple[str, str, float, int]
"""(kind, place, seconds, units)"""


def said(seconds: st.SearchStrategy[int], kinds: Iterable[str] = KINDS) -> st.SearchStrategy[Said]:
    return st.tuples(
        st.sampled_from(tuple(kinds)),
        st.sampled_from(PLACES[:2]),
        seconds.map(lambda tenth: tenth / 10),
        st.integers(1, 9),
    )


def tell(room: StockRoom, what: Said) -> int:
    """Tell the fold; the change of on hand that it means, 0 for a count."""
    kind, place, when, units = what
    room.now = 3600
    if kind == "count":
        room.count(place, units, when=when)
        return 0
    if kind == "sell":
        room.sell(place, units, when=when)
        return -units
    if kind == "receive":
        room.receive(place, units, when=when)
        return units
    if kind == "adjust":
        room.adjust(place, -units, when=when)
        return -units
    if kind == "ship":
        room.ship("o1", units, place, reserved=0, when=when)
        return -units
    room.now = when
    room.give_back("o1", units, place)
    return units


def on_paper(told: Iterable[tuple[Said, int]]) -> dict[str, int]:
    levels: dict[str, PlainLevel] = defaultdict(PlainLevel)
    for (kind, place, when, units), delta in told:
        if kind == "count":
            levels[place].counts.append((when, units))
        else:
            levels[place].moved.append((when, delta))
    return {place: level.on_hand() for place, level in levels.items()}


def check_facts(room: StockRoom) -> None:
    """Levels are the sums of their facts; versions have no gaps; each fact follows the last."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    versions: dict[str, int] = defaultdict(int)
    for moved in movements(room.fold.out):
        so_far = sums[moved.location_id]
        so_far[0] += moved.on_hand_delta
        so_far[1] += moved.reserved_delta
        so_far[2] += moved.in_transit_delta
        assert [moved.on_hand, moved.reserved, moved.in_transit] == so_far
        versions[moved.location_id] += 1
        assert moved.version == versions[moved.location_id]
    assert {place: tuple(sum_) for place, sum_ in sums.items()} == room.levels()
    assert all(room.level(place).version == version for place, version in versions.items())


@settings(max_examples=300, deadline=None)
@given(st.lists(said(st.integers(0, 20_000)), max_size=40))
def test_levels_are_what_paper_says_whatever_comes_late(told: list[Said]) -> None:
    """Over more than the window: counts that can't be told are refused, never wrong."""
    room = StockRoom()
    accepted: list[tuple[Said, int]] = []
    reasons: set[str] = set()
    for what in told:
        try:
            accepted.append((what, tell(room, what)))
        except Refused as refused:
            reasons.add(refused.reason)
    assert reasons <= {"count_too_old"}
    expected = on_paper(accepted)
    assert {place: level[0] for place, level in room.levels().items()} == expected
    check_facts(room)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_arrival_order_of_movements_and_one_count_gives_one_level(data: st.DataObject) -> None:
    moves = data.draw(st.lists(said(st.integers(0, 8999), KINDS[:-1]), max_size=32))
    moves = [("sell" if kind == "count" else kind, "a", when, n) for kind, _, when, n in moves]
    count = ("count", "a", data.draw(st.integers(0, 8999)) / 10, data.draw(st.integers(0, 50)))
    levels = set()
    for _ in range(3):
        room = StockRoom()
        told = [(what, tell(room, what)) for what in data.draw(st.permutations([*moves, count]))]
        levels.add(room.level("a").on_hand)
        assert room.level("a").on_hand == on_paper(told)["a"]
        check_facts(room)
    assert len(levels) == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_outside_commands_sent_again_at_any_time_change_nothing(data: st.DataObject) -> None:
    sent = data.draw(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 9)), max_size=20))
    room, once = StockRoom(), StockRoom()
    known: dict[str, int] = {}
    for command_id, quantity in sent:
        first = known.setdefault(command_id, quantity)
        room.receive("a", first, id=command_id)
    for command_id, quantity in known.items():
        once.receive("a", quantity, id=command_id)
    assert room.levels() == once.levels()
    check_facts(room)


# --- reservations ---------------------------------------------------------------------------------


class Both:
    """The fold and the paper, told the same."""

    def __init__(self) -> None:
        self.room, self.paper = StockRoom(), PlainShelf(backorder_limit=30)
        self.room.product(backorder_limit=30)

    def reserve(self, order: str, wanted: int, places: list[str], count: int) -> None:
        verdict = self.paper.ask(order, wanted, places[:count])
        (answer,) = answers(self.room.reserve(order, wanted, *places[:count]).out)
        models = {"allocated": LineAllocated, "queued": LineQueued, "refused": LineRefused}
        assert type(answer) is models[verdict]
        if verdict == "refused":
            assert answer.available < wanted

    def change(self, order: str, kind: str, place: str, units: int) -> None:
        self.paper.on_hand[place] += units if kind in ("receive", "return") else -units
        if kind == "receive":
            self.room.receive(place, units)
        elif kind == "return":
            self.room.give_back(order, units, place)
        elif kind == "adjust":
            self.room.adjust(place, -units)
        else:
            self.room.sell(place, units)
        self.paper.serve()

    def end(self, order: str, kind: str, which: int) -> None:
        """A line that stands reserved is given back or shipped; one that waits goes away."""
        if kind == "leave" and self.paper.queue:
            left = self.paper.queue.pop(which % len(self.paper.queue))
            self.room.release(left[0], left[1])
            self.paper.serve()
        elif kind != "leave" and self.paper.held:
            chosen = sorted(self.paper.held)[which % len(self.paper.held)]
            parts = self.paper.held[chosen]
            while parts:
                # What one place gets back may serve someone before the next place is told.
                place, units = parts.pop(0)
                if kind == "ship":
                    self.paper.on_hand[place] -= units
                    self.room.ship(chosen, units, place, reserved=units)
                else:
                    self.room.release(chosen, units, place)
                self.paper.serve()
            del self.paper.held[chosen]

    def product(self, order: str, safety_stock: int, backorder_limit: int) -> None:
        self.paper.safety_stock, self.paper.backorder_limit = safety_stock, backorder_limit
        self.room.product(safety_stock=safety_stock, backorder_limit=backorder_limit)
        self.paper.serve()

    def compare(self, held_before: set[str], came: list[Out]) -> None:
        for place in PLACES:
            on_hand, reserved, _ = self.room.levels().get(place, (0, 0, 0))
            assert (on_hand, reserved) == (self.paper.on_hand[place], self.paper.reserved(place))
        waiting = [line.order_id for line in self.room.sku_state().queue]
        assert waiting == [order for order, _, _ in self.paper.queue]
        allocated = {
            answer.order_id: [(part.location_id, part.quantity) for part in answer.parts]
            for answer in answers(came)
            if isinstance(answer, LineAllocated)
        }
        newly = {order: parts for order, parts in self.paper.held.items() if order in allocated}
        assert allocated == newly
        assert set(self.paper.held) - held_before == set(allocated)
        for moved in movements(came):
            if moved.kind == "reserve":
                assert moved.on_hand - moved.reserved >= self.paper.safety_stock


STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 9), st.permutations(PLACES), st.integers(1, 3)),
    st.tuples(
        st.just("change"),
        st.sampled_from(("receive", "receive", "sell", "adjust", "return")),
        st.sampled_from(PLACES),
        st.integers(1, 9),
    ),
    st.tuples(st.just("end"), st.sampled_from(("release", "ship", "leave")), st.integers(0, 50)),
    st.tuples(st.just("product"), st.integers(0, 4), st.sampled_from((0, 5, 30))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_reservations_and_queue_are_what_paper_says(steps: list[Any]) -> None:
    both = Both()
    for number, (kind, *rest) in enumerate(steps):
        held, seen = set(both.paper.held), len(both.room.fold.out)
        getattr(both, kind)(f"o{number}", *rest)
        both.compare(held, both.room.fold.out[seen:])
    check_facts(both.room)
