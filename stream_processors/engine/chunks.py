"""A chunk: records of one partition with the exact range of positions that they cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faust.types import TP


@dataclass(slots=True)
class Chunk:
    """What one fetch took from one partition.

    start, end: positions before and after. They cover everything in between, also what holds no
        record (transaction markers, compacted offsets), so chunk after chunk joins without gap.
    generation: of the consumer group's assignment under which it was fetched.
    taken: the fold works on it; it grows no more.
    """

    tp: TP
    records: list[Any]
    start: int
    end: int
    generation: int
    taken: bool = False

    def grow(self, more: Chunk, limit: int) -> bool:
        """Append what was fetched next, if it still waits and joins; False where it can't."""
        joins = self.end == more.start and self.generation == more.generation
        if self.taken or not joins or len(self.records) + len(more.records) > limit:
            return False
        self.records.extend(more.records)
        self.end = more.end
        return True
