"""Stock as one would do it on paper, to hold against the fold. Slow, obvious, and shares no code.

It knows every movement and looks at all of them each time; places, queue and splits are tried
one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations


def best_split(wanted: int, free: Mapping[str, int]) -> list[tuple[str, int]] | None:
    """Try all single places in order, then all pairs, all threes, ..."""
    for size in range(1, len(free) + 1):
        for places in combinations(free, size):
            if sum(max(0, free[place]) for place in places) < wanted:
                continue
            split, left = [], wanted
            for place in places:
                taken = min(max(0, free[place]), left)
                split.append((place, taken))
                left -= taken
            return split
    return None


@dataclass
class PlainLevel:
    """A place's units, told from everything that ever happened there, in whatever order."""

    moved: list[tuple[float, int]] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)

    def on_hand(self) -> int:
        if not self.counts:
            return sum(delta for _, delta in self.moved)
        latest = max(when for when, _ in self.counts)
        counted = [units for when, units in self.counts if when == latest][-1]
        return counted + sum(delta for when, delta in self.moved if when > latest)


Waiting = tuple[str, int, Sequence[str]]
"""(order, units wanted, places)"""


@dataclass
class PlainShelf:
    """One SKU: who has what reserved where, and who waits."""

    on_hand: Counter[str] = field(default_factory=Counter)
    held: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    queue: list[Waiting] = field(default_factory=list)
    safety_stock: int = 0
    backorder_limit: int = 0

    def reserved(self, place: str) -> int:
        return sum(units for parts in self.held.values() for at, units in parts if at == place)

    def free(self, place: str) -> int:
        return self.on_hand[place] - self.reserved(place) - self.safety_stock

    def ask(self, order: str, wanted: int, places: Sequence[str]) -> str:
        """`allocated`, `queued` or `refused`."""
        waiting = sum(units for _, units, _ in self.queue)
        self.queue.append((order, wanted, places))
        self.serve()
        if order in self.held:
            return "allocated"
        if waiting + wanted <= self.backorder_limit:
            return "queued"
        self.queue.pop()
        return "refused"

    def serve(self) -> None:
        """Begin again after each line that could be served, until none can."""
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        for index, (order, wanted, places) in enumerate(self.queue):
            spoken_for = {place for _, _, named in self.queue[:index] for place in named}
            free = {place: self.free(place) for place in places if place not in spoken_for}
            split = best_split(wanted, free)
            if split is not None:
                self.held[order] = split
                del self.queue[index]
                return True
        return False
