"""Where a line's units come from: all of it, from as few places as can be, or nothing."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.events.orders import Part


def allocate(wanted: int, places: Iterable[tuple[str, int]]) -> list[Part] | None:
    """Take `wanted` units from (place, available), which come in order of preference.

    The first place that has it all; else the fewest places that have it together, and among
    equally few those that come first. Never more than a place has. None if there isn't enough.
    A place named twice counts once.
    """
    have: dict[str, int] = {}
    for place, available in places:
        if available > 0:
            have.setdefault(place, available)
    biggest = sorted(have.values(), reverse=True)
    together = count = 0
    while together < wanted:
        if count == len(biggest):
            return None
        together += biggest[count]
        count += 1
    return _foremost(wanted, count, list(have.items()))


def _foremost(wanted: int, count: int, offers: list[tuple[str, int]]) -> list[Part]:
    """The foremost `count` places that have `wanted` together, emptied in order."""
    parts: list[Part] = []
    for index, (place, available) in enumerate(offers):
        others = sorted((left for _, left in offers[index + 1 :]), reverse=True)
        if available + sum(others[: count - 1]) < wanted:
            continue
        taken = min(available, wanted)
        parts.append(Part(location_id=place, quantity=taken))
        wanted -= taken
        count -= 1
        if wanted == 0:
            break
    return parts
