"""A stockroom: goods that arrive, leave for another place, are counted or put right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from schemas.events.stock import AdjustStock, CountStock, ReceiveStock, TransferStock


@dataclass(frozen=True, slots=True)
class Slip:
    """What stands on every line of one delivery note, transfer or count sheet.

    id: one a slip; the ids of its commands are made of it, so a slip sent again counts once.
    """

    id: str
    at: datetime
    by: str | None = None
    document: str | None = None
    reason: str | None = None


def receive(
    slip: Slip, line: int, location_id: str, sku: str, quantity: int, transfer_id: str | None = None
) -> ReceiveStock:
    """Goods arrived; with a transfer_id they were in transit to this place."""
    return ReceiveStock(
        id=f"{slip.id}:{line}",
        occurred_at=slip.at,
        by=slip.by,
        sku=sku,
        location_id=location_id,
        quantity=quantity,
        transfer_id=transfer_id,
        document=slip.document,
        reason=slip.reason,
    )


def transfer(slip: Slip, line: int, start: str, end: str, sku: str, quantity: int) -> TransferStock:
    """Goods left `start` for `end`; the slip's id is the transfer's."""
    return TransferStock(
        id=f"{slip.id}:{line}",
        occurred_at=slip.at,
        by=slip.by,
        sku=sku,
        transfer_id=slip.id,
        from_location_id=start,
        to_location_id=end,
        quantity=quantity,
        document=slip.document,
        reason=slip.reason,
    )


def adjust(slip: Slip, line: int, location_id: str, sku: str, delta: int) -> AdjustStock:
    """More or less is there than the books say; the slip says why."""
    return AdjustStock(
        id=f"{slip.id}:{line}",
        occurred_at=slip.at,
        by=slip.by,
        sku=sku,
        location_id=location_id,
        delta=delta,
        reason=slip.reason or "adjusted",
        document=slip.document,
    )


def count(slip: Slip, line: int, location_id: str, sku: str, counted: int) -> CountStock:
    """`counted` units were there when the slip was written."""
    return CountStock(
        id=f"{slip.id}:{line}",
        occurred_at=slip.at,
        by=slip.by,
        sku=sku,
        location_id=location_id,
        counted=counted,
        document=slip.document,
        reason=slip.reason,
    )


def late_count(
    slip: Slip, line: int, location_id: str, sku: str, counted: int, level_then: int
) -> AdjustStock | None:
    """A count too old for the stock fold, as the adjustment that it amounts to.

    level_then: on hand by the books at the slip's time. None: the books were right.
    """
    if counted == level_then:
        return None
    reason = f"counted {counted}, books said {level_then}"
    if slip.reason:
        reason += f": {slip.reason}"
    return adjust(replace(slip, reason=reason), line, location_id, sku, counted - level_then)
