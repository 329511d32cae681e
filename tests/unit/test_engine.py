"""The engine's parts that need no broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import faust
import msgspec
import pytest
from faust.types import TP

from runtime.codec import decode, encode
from runtime.errors import Mismatch
from runtime.health import Health
from runtime.partitions import partition_of
from runtime.settings import Settings
from runtime.topic_admin import TopicInfo
from schemas.arrivals import Arrival, Refused
from schemas.events.positions import InputPosition, Position
from schemas.events.stock import Movement, SellStock, StockLevel, StockMoved
from schemas.topics import PRODUCTS, STOCK_COMMANDS, STOCK_LEVELS, STOCK_MOVEMENTS
from stream_processors.engine.chunks import Chunk
from stream_processors.engine.fold import EXIT_FAILED, Fold, FoldSpec, Owned
from stream_processors.engine.ledger import check_position
from stream_processors.engine.outcome import Get, Out, Outcome
from stream_processors.engine.table import FoldTable
from stream_processors.engine.transaction import RECORD_BYTES_MAX
from stream_processors.stock.agent import merge_movements

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETTINGS = Settings(sku_partitions=4, order_partitions=4)
PARTITION = partition_of("TEA", 4)


def chunk(start: int, end: int, records: int = 0, generation: int = 1) -> Chunk:
    return Chunk(TP("t", 0), list(range(records)), start, end, generation)


class TestChunk:
    def test_grows_by_what_was_fetched_next(self) -> None:
        waiting = chunk(10, 20, records=3)
        assert waiting.grow(chunk(20, 31, records=2), limit=10)
        assert (waiting.start, waiting.end, len(waiting.records)) == (10, 31, 5)

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param(chunk(21, 30, records=1), id="a gap in between"),
            pytest.param(chunk(20, 30, records=9), id="more than the limit"),
            pytest.param(chunk(20, 30, records=1, generation=2), id="another assignment"),
        ],
    )
    def test_refuses_what_does_not_join(self, more: Chunk) -> None:
        waiting = chunk(10, 20, records=3)
        assert not waiting.grow(more, limit=10)
        assert waiting.end == 20

    def test_does_not_grow_once_taken(self) -> None:
        waiting = chunk(10, 20)
        waiting.taken = True
        assert not waiting.grow(chunk(20, 30), limit=10)


@pytest.fixture
def table() -> FoldTable:
    return FoldTable(faust.App("test", store="memory://"), name="test", partitions=4)


class TestFoldTable:
    def test_undo_brings_back_what_was_there(self, table: FoldTable) -> None:
        table.load(0, {"a": 1})
        table.begin(0)
        table["a"], table["b"] = 2, 3
        table["a"] = 4
        assert table.dirty() == {"a": 4, "b": 3}
        table.undo()
        assert table.of(0) == {"a": 1}
        assert table.get("b") is None

    def test_a_partition_given_up_leaves_nothing(self, table: FoldTable) -> None:
        for partition, key in ((0, "a"), (1, "b")):
            table.begin(partition)
            table[key] = partition
            table.accept()
        table.drop(0)
        assert dict(table) == {"b": 1}

    def test_a_removed_key_of_the_ledger_is_gone(self, table: FoldTable) -> None:
        table.load(0, {"a": 1, "b": 2})
        table.load(0, {"a": None})
        assert table.of(0) == {"b": 2}


class TestCheckPosition:
    position = Position(partition=0, inputs={"t": InputPosition(topic_id="id-1", next=7)})

    def test_the_ledger_says_where_to_go_on(self) -> None:
        assert check_position("t", 0, self.position, "id-1", committed=5) == 7

    def test_lost_group_offsets_change_nothing(self) -> None:
        assert check_position("t", 0, self.position, "id-1", committed=None) == 7

    def test_a_new_fold_starts_at_the_beginning(self) -> None:
        assert check_position("t", 0, None, "id-1", committed=None) is None

    def test_a_topic_made_anew_is_refused(self) -> None:
        with pytest.raises(Mismatch, match="made anew"):
            check_position("t", 0, self.position, "id-2", committed=None)

    @pytest.mark.parametrize("position", [position, None])
    def test_a_ledger_behind_the_group_is_refused(self, position: Position | None) -> None:
        with pytest.raises(Mismatch, match="records of the ledger are lost"):
            check_position("t", 0, position, "id-1", committed=8)


@dataclass
class FakeRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 1_777_000_000_000
    headers: tuple[tuple[str, bytes], ...] = ()


def sell(offset: int, quantity: int = 1, sku: str = "TEA", partition: int = PARTITION) -> Any:
    command = SellStock(
        id=f"o{offset}/1/sell",
        occurred_at=AT,
        sku=sku,
        order_id=f"o{offset}",
        line_no=1,
        quantity=quantity,
        location_id="cairo-1",
    )
    return FakeRecord(STOCK_COMMANDS.name, partition, offset, sku.encode(), encode(command))


def toy_rule(get: Get, event: Any, arrival: Arrival) -> Outcome:
    """A counter whose state grows by a kilobyte for each unit beyond a hundred."""
    if event.quantity == 13:
        raise Refused("unlucky", "thirteen", "quantity")
    if event.quantity == 14:
        raise ZeroDivisionError("a fault of the rule")
    old = get("TEA|cairo-1")
    padding = max(0, event.quantity - 100) * 100
    state = StockLevel(
        sku="TEA",
        location_id="cairo-1",
        on_hand=(old.on_hand if old else 0) - event.quantity,
        version=(old.version if old else 0) + 1,
        occurred_at=AT,
        recorded_at=AT,
        recent=[(1_000_000, 1)] * padding,
    )
    return Outcome({"TEA|cairo-1": state}, [Out(STOCK_MOVEMENTS, moved(arrival.offset))])


def moved(offset: int, sku: str = "TEA") -> StockMoved:
    movement = Movement(
        location_id="cairo-1",
        kind="sell",
        on_hand_delta=-1,
        reserved_delta=0,
        in_transit_delta=0,
        on_hand=0,
        reserved=0,
        in_transit=0,
        version=offset,
        occurred_at=AT,
        recorded_at=AT,
        known_at=AT,
        command_id=str(offset),
        partition=0,
        offset=offset,
    )
    return StockMoved(id=str(offset), occurred_at=AT, sku=sku, movements=[movement])


@pytest.fixture
def fold(table: FoldTable) -> Fold:
    spec = FoldSpec("test", (STOCK_COMMANDS, PRODUCTS), STOCK_LEVELS, toy_rule)
    topics = {topic.name: TopicInfo("id", 4) for topic in (STOCK_COMMANDS, PRODUCTS)}
    return Fold(spec, table, SETTINGS, topics, Health(SETTINGS, "test"), lambda _step: None)


def apply(fold: Fold, records: list[Any], following: int = 0) -> list[Any]:
    end = records[-1].offset + 1
    taken = Chunk(TP(STOCK_COMMANDS.name, PARTITION), records, following, end, 1)
    return fold._apply(taken, following)


def reasons(written: list[Any]) -> list[str]:
    return [
        dict(record.headers)["dl_reason"].decode()
        for record in written
        if record.topic == "dead-letters"
    ]


class TestApply:
    def test_one_state_a_dirty_key_and_one_fact_an_event(
        self, fold: Fold, table: FoldTable
    ) -> None:
        written = apply(fold, [sell(0), sell(1), sell(2)])
        assert [record.topic for record in written] == ["stock-movements"] * 3 + ["stock-levels"]
        state = decode(STOCK_LEVELS, written[-1].key, written[-1].value)
        assert (state.on_hand, state.version) == (-3, 3)
        assert state == table.get("TEA|cairo-1")

    def test_records_below_the_position_are_passed_over(self, fold: Fold) -> None:
        written = apply(fold, [sell(0), sell(1), sell(2)], following=2)
        assert [record.topic for record in written] == ["stock-movements", "stock-levels"]

    def test_what_is_refused_becomes_a_dead_letter_and_the_rest_goes_on(self, fold: Fold) -> None:
        bad = FakeRecord(STOCK_COMMANDS.name, PARTITION, 1, b"TEA", b"{not json")
        written = apply(fold, [sell(0), bad, sell(2, quantity=13), sell(3)])
        assert reasons(written) == ["not_json", "unlucky"]
        letter = next(record for record in written if record.topic == "dead-letters")
        headers = dict(letter.headers)
        assert letter.value == b"{not json"
        assert (headers["dl_topic"], headers["dl_offset"]) == (b"stock-commands", b"1")
        assert sum(record.topic == "stock-movements" for record in written) == 2

    def test_a_fault_in_the_rule_stops_nobody_else(self, fold: Fold) -> None:
        written = apply(fold, [sell(0, quantity=14), sell(1)])
        assert reasons(written) == ["rule_failed"]
        assert sum(record.topic == "stock-movements" for record in written) == 1

    def test_a_record_in_anothers_partition_is_refused(self, fold: Fold) -> None:
        elsewhere = next(f"SKU-{n}" for n in range(99) if partition_of(f"SKU-{n}", 4) != PARTITION)
        assert reasons(apply(fold, [sell(0, sku=elsewhere)])) == ["wrong_partition"]

    def test_a_key_that_does_not_fit_the_body_is_refused(self, fold: Fold) -> None:
        record = sell(0)
        record.key = b"COFFEE"
        assert reasons(apply(fold, [record])) == ["wrong_key"]

    def test_a_state_too_large_refuses_only_its_event(self, fold: Fold, table: FoldTable) -> None:
        growing = 100 + RECORD_BYTES_MAX // 1_000
        written = apply(fold, [sell(0), sell(1), sell(2, quantity=growing)])
        assert reasons(written) == ["too_large"]
        assert table.get("TEA|cairo-1").on_hand == -2
        assert sum(record.topic == "stock-movements" for record in written) == 2
        assert max(len(record.value) for record in written) <= RECORD_BYTES_MAX


class FakeWriter:
    """Commits nothing; keeps what it was given."""

    def __init__(self) -> None:
        self.committed: list[list[Any]] = []

    async def commit(self, records: list[Any], *_offsets: Any) -> int:
        self.committed.append(records)
        return 1


class TestPositions:
    @pytest.fixture
    def writer(self, fold: Fold) -> FakeWriter:
        writer = FakeWriter()
        owned = Owned(PARTITION, writer, ready=True)  # type: ignore[arg-type]
        owned.next = {STOCK_COMMANDS.name: 5, PRODUCTS.name: 0}
        fold._owned[PARTITION] = owned
        return writer

    def commands(self, start: int, end: int) -> Chunk:
        records = [sell(offset) for offset in range(start, end)]
        return Chunk(TP(STOCK_COMMANDS.name, PARTITION), records, start, end, 1)

    async def test_what_was_folded_already_is_dropped(self, fold: Fold, writer: FakeWriter) -> None:
        await fold.fold(self.commands(0, 5))
        assert writer.committed == []

    async def test_a_chunk_that_overlaps_is_folded_from_the_position_on(
        self, fold: Fold, writer: FakeWriter
    ) -> None:
        await fold.fold(self.commands(2, 7))
        facts = [record for record in writer.committed[0] if record.topic == "stock-movements"]
        assert len(facts) == 2
        assert fold.next_of(TP(STOCK_COMMANDS.name, PARTITION)) == 7

    async def test_a_gap_ends_the_process(
        self, fold: Fold, writer: FakeWriter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exit_(code: int) -> None:
            raise SystemExit(code)

        monkeypatch.setattr("os._exit", exit_)
        with pytest.raises(SystemExit) as ended:
            await fold._fold(self.commands(6, 8))
        assert ended.value.code == EXIT_FAILED
        assert writer.committed == []

    async def test_the_position_goes_with_the_states(self, fold: Fold, writer: FakeWriter) -> None:
        await fold.fold(self.commands(5, 8))
        last = writer.committed[0][-1]
        assert last.key == f"@position|{PARTITION}".encode()
        position = msgspec.json.decode(last.value, type=Position)
        assert position.inputs[STOCK_COMMANDS.name] == InputPosition(topic_id="id", next=8)


def test_movements_of_a_sku_share_a_record_in_their_order() -> None:
    outs = [
        Out(STOCK_MOVEMENTS, moved(offset, sku)) for offset, sku in enumerate(["A", "B", "A", "A"])
    ]
    merged = merge_movements(outs)
    offsets = {
        out.event.sku: [movement.offset for movement in out.event.movements]  # type: ignore[attr-defined]
        for out in merged
    }
    assert offsets == {"A": [0, 2, 3], "B": [1]}
