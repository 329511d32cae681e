"""The ops desk: people answer alerts and set thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.events.alerts import AcknowledgeAlert, ResolveAlert, SnoozeAlert, ThresholdOverride


@dataclass(frozen=True, slots=True)
class Desk:
    """Who says something about a SKU at a place, and when."""

    id: str
    at: datetime
    by: str
    sku: str
    location_id: str


def acknowledge(desk: Desk, note: str) -> AcknowledgeAlert:
    """Somebody has seen the alert and takes care."""
    return AcknowledgeAlert(
        id=desk.id,
        occurred_at=desk.at,
        by=desk.by,
        sku=desk.sku,
        location_id=desk.location_id,
        note=note,
    )


def snooze(desk: Desk, until: datetime, note: str) -> SnoozeAlert:
    """Say nothing until then."""
    return SnoozeAlert(
        id=desk.id,
        occurred_at=desk.at,
        by=desk.by,
        sku=desk.sku,
        location_id=desk.location_id,
        until=until,
        note=note,
    )


def resolve(desk: Desk, note: str) -> ResolveAlert:
    """Close the alert by hand."""
    return ResolveAlert(
        id=desk.id,
        occurred_at=desk.at,
        by=desk.by,
        sku=desk.sku,
        location_id=desk.location_id,
        note=note,
    )


def override(
    desk: Desk, raise_at: int, clear_at: int, until: datetime | None, why: str
) -> ThresholdOverride:
    """Alert at or below `raise_at`, end at or above `clear_at`.

    Raises ValueError unless clear_at lies above raise_at.
    """
    return ThresholdOverride(
        id=desk.id,
        occurred_at=desk.at,
        by=desk.by,
        sku=desk.sku,
        location_id=desk.location_id,
        raise_at=raise_at,
        clear_at=clear_at,
        until=until,
        why=why,
    )
