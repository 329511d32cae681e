"""Compares figures. Pure: what is compared was read before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inventory.reconciling.figures import Figures, Place, Stock

NOTHING = Stock(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """what: level, facts, reserved, sold or order. key: of what. sides: name -> what it says.

    moved: the sides are of different versions, so one may only be later than the other.
    """

    what: str
    key: str
    sides: tuple[tuple[str, str], ...]
    moved: bool = False

    def __str__(self) -> str:
        said = ", ".join(f"{side}: {value}" for side, value in self.sides)
        return f"{self.what} of {self.key}: {said}"


def compare(topics: Figures, *stores: Figures) -> list[Difference]:
    """Everything that does not agree, within the topics and between them and each store."""
    found = _facts(topics, topics) + _reserved(topics, topics)
    for store in stores:
        found += _mapping("level", topics.side, topics.levels, store.side, store.levels)
        found += _mapping("sold", topics.side, topics.sold, store.side, store.sold)
        found += _facts(topics, store)
        found += _reserved(topics, store)
        if topics.orders is not None and store.orders is not None:
            found += _mapping("order", topics.side, topics.orders, store.side, store.orders)
    return found


def still_moving(
    before: list[Difference], after: list[Difference]
) -> tuple[list[Difference], list[Difference]]:
    """Split what still differs: real, and moving (it says something else than before)."""
    said = {(difference.what, difference.key): difference for difference in before}
    real: list[Difference] = []
    moving: list[Difference] = []
    for difference in after:
        same = said.get((difference.what, difference.key)) == difference
        (real if same or not difference.moved else moving).append(difference)
    return real, moving


def _mapping(
    what: str, one_side: str, one: Mapping[Any, Any], other_side: str, other: Mapping[Any, Any]
) -> list[Difference]:
    found = []
    for key in sorted(one.keys() | other.keys()):
        left, right = one.get(key), other.get(key)
        if left != right:
            moved = getattr(left, "version", None) != getattr(right, "version", None)
            found.append(
                Difference(
                    what,
                    _name(key),
                    ((one_side, _say(left)), (other_side, _say(right))),
                    moved or what == "sold",
                )
            )
    return found


def _facts(topics: Figures, side: Figures) -> list[Difference]:
    """The sum of a side's facts is the topics' level, and their number its version."""
    if side.facts is None:
        return []
    name = f"facts in {side.side}"
    return _mapping("facts", topics.side, topics.levels, name, side.facts)


def _reserved(topics: Figures, side: Figures) -> list[Difference]:
    """What open order lines hold is what the levels have set aside."""
    if side.reserved is None:
        return []
    levels = {at: level.reserved for at, level in topics.levels.items() if level.reserved}
    name = f"open lines in {side.side}"
    found = _mapping("reserved", topics.side, levels, name, side.reserved)
    # Two folds keep these two figures: between an answer and its arrival they differ.
    return [replace(difference, moved=True) for difference in found]


def _name(key: Place | str) -> str:
    return key if isinstance(key, str) else " at ".join(key)


def _say(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Stock):
        return (
            f"{value.on_hand} on hand, {value.reserved} reserved, {value.in_transit} in transit "
            f"(version {value.version})"
        )
    return str(value)
