"""What is known of a record besides its body, and what it means to refuse one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, frozen=True)
class Arrival:
    """Where a record stands, and when Kafka recorded it: all a rule may know besides the event.

    key: the record's key, which a deletion (a null body on a compacted topic) needs.
    """

    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    key: str = ""


class Refused(Exception):
    """A record that is not taken: it becomes a dead letter with this reason.

    reason: a short code (`wrong_partition`, `invalid`, ...). field: where in the body.
    """

    def __init__(self, reason: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.field = field
