"""One record's work in progress: the facts, the answers and the new states it leads to."""

from __future__ import annotations

from typing import Any

from schemas.arrivals import Arrival
from schemas.events.stock import (
    LineAnswer,
    Movement,
    MovementFlag,
    MovementKind,
    QueuedLine,
    SeenCommands,
    SkuState,
    StockLevel,
    StockMoved,
)
from schemas.topics import ALLOCATIONS, STOCK_COMMANDS, STOCK_MOVEMENTS
from stream_processors.engine.outcome import Get, Out, Outcome
from stream_processors.stock.recent import millis, remember


class Step:
    """Collects what one record changes of one SKU; nothing counts before `outcome`.

    event: a command, a Product, or None where a product was deleted.
    order_id, line_no, document, reason: what the next movements say of themselves.
    """

    __slots__ = (
        "_answers",
        "_get",
        "_movements",
        "_states",
        "arrival",
        "backfill",
        "by",
        "command_id",
        "document",
        "id",
        "known_at",
        "line_no",
        "occurred_at",
        "order_id",
        "reason",
        "sku",
        "sku_state",
    )

    def __init__(self, get: Get, sku: str, event: Any, arrival: Arrival) -> None:
        self.id = f"{arrival.topic}/{arrival.partition}/{arrival.offset}"
        self.sku = sku
        self.arrival = arrival
        self.order_id: str | None = None
        self.line_no: int | None = None
        self.document: str | None = None
        self.reason: str | None = None
        self._get = get
        if event is None:
            self.occurred_at, self.known_at = arrival.recorded_at, None
            self.backfill, self.by = False, None
        else:
            self.occurred_at, self.known_at = event.occurred_at, event.known_at
            self.backfill, self.by = event.backfill, event.by
        self.command_id = event.id if arrival.topic == STOCK_COMMANDS.name else self.id
        self._states: dict[str, Any] = {}
        self._movements: list[Movement] = []
        self._answers: list[Out] = []
        self.sku_state: SkuState = get(sku + "|") or SkuState(sku=sku)

    # --- what is there ----------------------------------------------------------------------------

    def state(self, key: str) -> Any:
        """A state as this step leaves it so far, or None."""
        return self._states.get(key) or self._get(key)

    def level(self, location_id: str) -> StockLevel:
        """What is at a place so far; an empty level where nothing ever was."""
        level: StockLevel | None = self.state(f"{self.sku}|{location_id}")
        return level or StockLevel(
            sku=self.sku,
            location_id=location_id,
            occurred_at=self.occurred_at,
            recorded_at=self.arrival.recorded_at,
        )

    def available(self, location_id: str) -> int:
        """Units that a web order can have of a place."""
        level = self.level(location_id)
        return max(0, level.on_hand - level.reserved - self.sku_state.safety_stock)

    # --- what changes -----------------------------------------------------------------------------

    def move(
        self,
        location_id: str,
        kind: MovementKind,
        on_hand: int = 0,
        reserved: int = 0,
        in_transit: int = 0,
        flags: tuple[MovementFlag, ...] = (),
    ) -> None:
        """Change a place by these deltas: a fact and the level after it.

        A change of on hand that happened before the latest count was counted already: its fact
        is followed by an opposite `count_correction`, so the level stays.
        """
        old = self.level(location_id)
        recent, since = old.recent, old.recent_since
        known, late = self.sku_state.known, False
        level_after = old.on_hand + on_hand
        marks: list[MovementFlag] = [*flags] if known else ["unknown_product", *flags]
        if on_hand and kind != "count":
            at = millis(self.occurred_at)
            late = old.counted_at is not None and at <= millis(old.counted_at)
            if late:
                marks.append("late")
            else:
                recent, since = remember(recent, since, at, on_hand)
                if on_hand < 0 and level_after < 0:
                    marks.append("oversold")
        level = StockLevel(
            sku=self.sku,
            location_id=location_id,
            on_hand=level_after,
            reserved=old.reserved + reserved,
            in_transit=old.in_transit + in_transit,
            version=old.version + 1,
            occurred_at=self.occurred_at,
            recorded_at=self.arrival.recorded_at,
            counted_at=old.counted_at,
            backfill=self.backfill,
            unknown_product=not known,
            recent=recent,
            recent_since=since,
            cause=self._cause(old.cause),
        )
        self._record(level, kind, (on_hand, reserved, in_transit), marks)
        if late:
            level.on_hand -= on_hand
            level.version += 1
            self._record(level, "count_correction", (-on_hand, 0, 0), [*marks])
        self._states[f"{self.sku}|{location_id}"] = level

    def _record(
        self,
        level: StockLevel,
        kind: MovementKind,
        deltas: tuple[int, int, int],
        flags: list[MovementFlag],
    ) -> None:
        on_hand, reserved, in_transit = deltas
        self._movements.append(
            Movement(
                location_id=level.location_id,
                kind=kind,
                on_hand_delta=on_hand,
                reserved_delta=reserved,
                in_transit_delta=in_transit,
                on_hand=level.on_hand,
                reserved=level.reserved,
                in_transit=level.in_transit,
                version=level.version,
                occurred_at=self.occurred_at,
                recorded_at=self.arrival.recorded_at,
                known_at=self.known_at or self.arrival.recorded_at,
                command_id=self.command_id,
                partition=self.arrival.partition,
                offset=self.arrival.offset,
                order_id=self.order_id,
                line_no=self.line_no,
                document=self.document,
                reason=self.reason,
                by=self.by,
                backfill=self.backfill,
                flags=flags,
            )
        )

    def put(self, state: StockLevel | SeenCommands) -> None:
        self._states[f"{self.sku}|{state.location_id}"] = state

    def keep(self, *, queue: list[QueuedLine] | None = None, outside: int | None = None) -> None:
        """Write what belongs to the SKU, with another queue or count of outside commands."""
        old = self.sku_state
        self.sku_state = self._states[self.sku + "|"] = SkuState(
            sku=self.sku,
            known=old.known,
            stocked=old.stocked,
            safety_stock=old.safety_stock,
            backorder_limit=old.backorder_limit,
            queue=old.queue if queue is None else queue,
            outside=old.outside if outside is None else outside,
            cause=self._cause(old.cause),
        )

    def _cause(self, old: dict[str, int]) -> dict[str, int]:
        return {**old, self.arrival.topic: self.arrival.offset}

    def answer(self, model: type[LineAnswer], line: QueuedLine, **said: Any) -> None:
        """Tell the order fold what became of a line."""
        self._answers.append(
            Out(
                ALLOCATIONS,
                model(
                    id=f"{self.id}/{len(self._answers)}",
                    occurred_at=self.occurred_at,
                    known_at=self.known_at,
                    backfill=self.backfill,
                    by=self.by,
                    order_id=line.order_id,
                    line_no=line.line_no,
                    sku=self.sku,
                    attempt=line.attempt,
                    **said,
                ),
            )
        )

    def outcome(self) -> Outcome:
        """All of it: the facts first, then the answers."""
        if not self._movements:
            return Outcome(self._states, self._answers)
        moved = StockMoved(
            id=self.id,
            occurred_at=self.occurred_at,
            known_at=self.known_at,
            backfill=self.backfill,
            by=self.by,
            sku=self.sku,
            movements=self._movements,
        )
        return Outcome(self._states, [Out(STOCK_MOVEMENTS, moved), *self._answers])
