"""What is due when: the timetable of the `timers` worker, without Kafka and clock."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True, frozen=True)
class _Wish:
    """number: tells this wish from earlier ones of its key that still lie in the heap."""

    due_at: datetime
    number: int


class Agenda:
    """Keys with the time at which something is to be said about each.

    repeat_after: a key that was taken is due again so long after, until its time is changed:
        what was said about it may have been lost.
    """

    def __init__(self, repeat_after: timedelta) -> None:
        self._repeat_after = repeat_after
        self._wishes: dict[str, _Wish] = {}
        self._heap: list[tuple[datetime, int, str]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._wishes)

    def put(self, key: str, due_at: datetime | None) -> None:
        """The key is due then; None: never. The same time again changes nothing."""
        known = self._wishes.get(key)
        if due_at is None:
            if known is not None:
                del self._wishes[key]
        elif known is None or known.due_at != due_at:
            self._count += 1
            self._wishes[key] = _Wish(due_at, self._count)
            heapq.heappush(self._heap, (due_at, self._count, key))
        if len(self._heap) > 2 * len(self._wishes) + 1000:
            self._heap = [entry for entry in self._heap if self._holds(entry)]
            heapq.heapify(self._heap)

    def take(self, now: datetime, limit: int) -> list[tuple[str, datetime]]:
        """At most `limit` keys that are due, with their times, the longest due first."""
        taken: list[tuple[str, datetime]] = []
        while len(taken) < limit and (next_at := self.next_at()) is not None and next_at <= now:
            _, number, key = self._heap[0]
            heapq.heapreplace(self._heap, (now + self._repeat_after, number, key))
            taken.append((key, self._wishes[key].due_at))
        return taken

    def next_at(self) -> datetime | None:
        """When something is due next; None: nothing ever."""
        while self._heap and not self._holds(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _holds(self, entry: tuple[datetime, int, str]) -> bool:
        wish = self._wishes.get(entry[2])
        return wish is not None and wish.number == entry[1]
