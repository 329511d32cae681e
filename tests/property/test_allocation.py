"""Where a line's units come from, held against trying every way."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from stream_processors.stock.allocation import allocate
from tests.support.plain_stock import best_split

OFFERS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(-3, 15)), max_size=6, unique_by=lambda o: o[0]
)


@example(13, [("a", 10), ("b", 15)])
@given(st.integers(1, 40), OFFERS)
def test_the_split_is_the_one_that_trying_all_finds(
    wanted: int, offers: list[tuple[str, int]]
) -> None:
    parts = allocate(wanted, offers)
    split = None if parts is None else [(part.location_id, part.quantity) for part in parts]
    free = {place: units for place, units in offers if units > 0}
    assert split == best_split(wanted, free)


@given(st.integers(1, 40), st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 15))))
def test_all_or_nothing_and_never_more_than_a_place_has(
    wanted: int, offers: list[tuple[str, int]]
) -> None:
    parts = allocate(wanted, offers)
    first: dict[str, int] = {}
    for place, units in offers:
        if units > 0:
            first.setdefault(place, units)
    if parts is None:
        assert sum(first.values()) < wanted
        return
    assert sum(part.quantity for part in parts) == wanted
    places = [part.location_id for part in parts]
    assert len(set(places)) == len(places)
    for part in parts:
        assert 0 < part.quantity <= first[part.location_id]
