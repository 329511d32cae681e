"""Copying records again, in other batches, gives the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import decode, encode
from schemas import topics
from schemas.arrivals import Arrival
from schemas.events.orders import SaleLine, SalesRecorded
from schemas.events.stock import StockLevel
from schemas.topics import Topic, key_of
from sinks.clickhouse.batch import Batch, Stale
from sinks.clickhouse.rows import BY_TOPIC, Row, instant
from tests.support.clickhouse import START, line, moved, movement, sale

times = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
skus = st.sampled_from(["TEA-250", "CUP", "MUG-12"])
lines = st.builds(
    line,
    skus,
    st.integers(-5, 5).filter(bool),
    st.decimals(0, 999, places=4).map(str),
    line_no=st.integers(1, 5),
)
sales = st.builds(
    lambda number, found, at: sale(number, *found, occurred_at=at),
    st.integers(1, 99),
    st.lists(lines, min_size=1, max_size=4),
    times,
)
movements = st.builds(
    lambda sku, version, at: moved(sku, movement(version, occurred_at=at)),
    skus,
    st.integers(1, 99),
    times,
)
levels = st.builds(
    lambda sku, on_hand, at: StockLevel(
        sku=sku, location_id="cairo-1", on_hand=on_hand, occurred_at=at, recorded_at=at
    ),
    skus,
    st.integers(-9, 9),
    times,
)
records = st.one_of(
    st.tuples(st.just(topics.SALES), sales),
    st.tuples(st.just(topics.STOCK_MOVEMENTS), movements),
    st.tuples(st.just(topics.STOCK_LEVELS), levels),
)


def stored(batches: list[list[tuple[int, Topic, object]]]) -> dict[str, dict[object, Row]]:
    """What ReplacingMergeTree keeps: facts by place in the log, states by key and offset."""
    tables: dict[str, dict[object, Row]] = {}
    for records_ in batches:
        batch = Batch()
        for offset, topic, event in records_:
            batch.add(event, Arrival(topic.name, 0, offset, START, key_of(topic, event)))
        for table, rows in batch.tables():
            kept = tables.setdefault(table.name, {})
            for row in rows:
                at = table.columns.index("offset")
                identity = tuple(row[: table.key]) if table.key else tuple(row[at - 1 :])
                if identity not in kept or kept[identity][at] <= row[at]:
                    kept[identity] = row
    return tables


@given(st.lists(records, min_size=1, max_size=25), st.data())
def test_a_replay_with_other_boundaries_changes_nothing(
    found: list[tuple[Topic, object]], data: st.DataObject
) -> None:
    log = [(offset, topic, event) for offset, (topic, event) in enumerate(found)]
    once = stored([log])
    start = data.draw(st.integers(0, len(log) - 1))
    cut = data.draw(st.integers(0, len(log)))
    assert stored([log[:cut], log[start:], log[cut:]]) == once


@given(sales)
def test_money_and_quantities_come_out_as_they_went_in(event: SalesRecorded) -> None:
    body = encode(event)
    read = decode(topics.SALES, event.order_id.encode(), body)
    rows = BY_TOPIC["sales"].rows(read, Arrival("sales", 0, 1, START))
    columns = BY_TOPIC["sales"].table.columns

    def column(name: str) -> list[object]:
        return [row[columns.index(name)] for row in rows]

    def of(name: str) -> list[object]:
        return [getattr(found, name) for found in event.lines]

    for name in ("sku", "quantity", "amount", "unit_price", "line_no"):
        assert column(name) == of(name)
    assert sum(map(_amount, event.lines), Decimal(0)) == sum(
        map(Decimal, map(str, column("amount")))
    )


def _amount(found: SaleLine) -> Decimal:
    return found.amount


@given(times)
def test_the_day_of_a_row_is_the_day_it_happened_in_utc(at: datetime) -> None:
    assert instant(at)[:10] == at.date().isoformat()
    assert len(instant(at)) == 23


@given(st.sets(st.dates(date(1970, 1, 1), date(2199, 12, 31)), min_size=1, max_size=5))
def test_quarters_are_complete_and_nothing_else(days: set[date]) -> None:
    found = [
        date.fromisoformat(day) for day in Stale(days={d.isoformat() for d in days}).quarter_days()
    ]
    quarters = {(day.year, (day.month - 1) // 3) for day in days}
    assert days <= set(found)
    assert {(day.year, (day.month - 1) // 3) for day in found} == quarters
    for day in found:
        neighbours = {day - timedelta(days=1), day + timedelta(days=1)}
        for other in neighbours:
            assert (other in found) == ((other.year, (other.month - 1) // 3) in quarters)
