"""Records to rows for PostgreSQL: one record at a time, and what batches make of many."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from runtime.clock import from_millis
from runtime.codec import dead_letter_headers
from runtime.partitions import partition_of
from schemas import topics
from schemas.arrivals import Arrival, Refused
from schemas.events.alerts import AlertChanged, AlertState, ReorderPoint, ThresholdOverride
from schemas.events.base import ShipTo
from schemas.events.catalog import Customer, Location, Product, Supplier
from schemas.events.imports import ImportProgress
from schemas.events.orders import OrderPaid, Part
from schemas.events.positions import position_key
from schemas.events.stock import SkuState
from sinks.postgres.batch import Batch
from sinks.postgres.reading import READ, read_batch
from sinks.postgres.tables import BY_NAME, PLACEHOLDER, TABLES, OrderRow
from tests.support.postgres_records import (
    AT,
    MILLIS,
    PARTITIONS,
    Log,
    level,
    order_state,
    placed,
    sale,
)

NOTHING_KNOWN: dict[str, set[str]] = {table.name: set() for table in TABLES}


def rows_of(log: Log) -> Batch:
    return read_batch(log.records, PARTITIONS)


def product(sku: str = "A", **others: object) -> Product:
    return Product(id=f"p-{sku}", occurred_at=AT, sku=sku, name=f"Name of {sku}", **others)  # type: ignore[arg-type]


def test_product_points_to_its_sub_category_below_its_category() -> None:
    log = Log()
    log.add(topics.PRODUCTS, product(category="Food", sub_category="Tea", supplier_id="s-1"))
    batch = rows_of(log)
    (row,) = batch.rows["products"].values()
    categories = {entry.name: entry for entry in batch.rows["categories"].values()}
    assert row.category_id == categories["Tea"].category_id
    assert categories["Tea"].parent_id == categories["Food"].category_id
    assert categories["Food"].parent_id is None
    assert (row.version, row.recorded_at) == (0, from_millis(MILLIS))


def test_equal_sub_categories_of_two_categories_are_two() -> None:
    log = Log()
    log.add(topics.PRODUCTS, product("A", category="Food", sub_category="Other"))
    log.add(topics.PRODUCTS, product("B", category="Toys", sub_category="Other"))
    log.add(topics.PRODUCTS, product("C", category="Food", sub_category="Other"))
    batch = rows_of(log)
    rows = {row.sku: row.category_id for row in batch.rows["products"].values()}
    assert rows["A"] == rows["C"] != rows["B"]
    assert len(batch.rows["categories"]) == 4


def test_later_record_of_a_key_replaces_the_earlier() -> None:
    log = Log()
    log.add(topics.PRODUCTS, product(price=Decimal(1), currency="EUR"))
    log.add(topics.PRODUCTS, product(price=Decimal(2), currency="EUR"))
    (row,) = rows_of(log).rows["products"].values()
    assert (row.price, row.version) == (Decimal(2), 1)


def test_deleted_product_stays_as_a_retired_placeholder() -> None:
    log = Log()
    log.add(topics.PRODUCTS, product())
    log.add_raw(topics.PRODUCTS, b"A", None)
    (row,) = rows_of(log).rows["products"].values()
    assert (row.name, row.retired, row.version) == (None, True, 1)


def test_deleted_customer_keeps_the_id_alone() -> None:
    log = Log()
    who = Customer(
        id="c", occurred_at=AT, customer_id="c-1", name="Mona", email="m@example.org",
        street="1 Nile St", city="Cairo", country="Egypt", segment="Consumer",
    )  # fmt: skip
    log.add(topics.CUSTOMERS, who)
    log.add_raw(topics.CUSTOMERS, b"c-1", None)
    (row,) = rows_of(log).rows["customers"].values()
    assert row[:7] == ("c-1", None, None, None, None, None, None)
    assert row.version == 1


def test_location_and_supplier_become_rows() -> None:
    log = Log()
    log.add(
        topics.LOCATIONS,
        Location(id="l", occurred_at=AT, location_id="cairo-1", name="Cairo", country="Egypt"),
    )
    log.add(
        topics.SUPPLIERS,
        Supplier(id="s", occurred_at=AT, supplier_id="s-1", name="Nile Tea", lead_time_days=9),
    )
    batch = rows_of(log)
    (place,) = batch.rows["places"].values()
    (location,) = batch.rows["locations"].values()
    (supplier,) = batch.rows["suppliers"].values()
    assert (location.place_id, place.country, place.city) == (place.place_id, "Egypt", None)
    assert (supplier.name, supplier.lead_time_days) == ("Nile Tea", 9)


def test_first_placed_event_of_an_order_id_is_the_order() -> None:
    log = Log()
    log.add(topics.ORDERS, placed("o-1", "A", "B", priority="high", by="till 3"))
    log.add(topics.ORDERS, placed("o-1", "A", "B", "C", priority="low"))
    batch = rows_of(log)
    (order,) = batch.rows["orders"].values()
    assert (order.priority, order.placed_by, order.placed_at) == ("high", "till 3", AT)
    assert [item.sku for item in batch.items["o-1"]] == ["A", "B"]


def test_order_content_and_state_meet_in_one_row_in_any_order() -> None:
    content, state = placed("o-1", "A"), order_state("o-1", 2)
    rows = []
    for events in ((content, state), (state, content)):
        log = Log()
        for event in events:
            log.add(topics.ORDERS if event is content else topics.ORDER_STATES, event)
        rows.append(rows_of(log).rows["orders"])
    assert rows[0] == rows[1]
    ((order,),) = (rows[0].values(),)
    assert (order.channel, order.status, order.version) == ("pos", "reserved", 2)


def test_other_order_events_have_no_rows() -> None:
    log = Log()
    log.add(topics.ORDERS, OrderPaid(id="x", occurred_at=AT, order_id="o-1"))
    batch = rows_of(log)
    assert not any(batch.rows.values())
    assert not batch.refused


def test_reservations_are_those_of_the_last_state() -> None:
    log = Log()
    both = (Part(location_id="cairo-1", quantity=1), Part(location_id="giza-1", quantity=2))
    log.add(topics.ORDER_STATES, order_state("o-1", 1, parts=both))
    log.add(topics.ORDER_STATES, order_state("o-1", 2, parts=both[1:]))
    batch = rows_of(log)
    assert [(p.location_id, p.quantity) for p in batch.reserved["o-1"]] == [("giza-1", 2)]


def test_reduced_state_leaves_the_content_alone_and_frees_reservations() -> None:
    log = Log()
    state = order_state("o-1", 9, "delivered")
    state.lines = []
    state.reduced = True
    log.add(topics.ORDER_STATES, state)
    batch = rows_of(log)
    (order,) = batch.rows["orders"].values()
    assert order[1 : OrderRow._fields.index("status")] == (None,) * 12
    assert (order.status, batch.reserved["o-1"]) == ("delivered", [])


def test_sale_is_an_event_with_lines() -> None:
    log = Log()
    log.add(topics.SALES, sale("o-1", 7, 3, -1))
    batch = rows_of(log)
    (event,) = batch.rows["sale_events"].values()
    assert (event.cause_offset, event.order_id, event.known_at) == (7, "o-1", AT)
    lines = sorted(batch.rows["sales"].values())
    assert [(line.line_no, line.quantity, line.amount) for line in lines] == [
        (1, 3, Decimal("7.5")),
        (2, -1, Decimal("-2.5")),
    ]


def test_return_that_matches_in_part_is_one_event_with_lines_of_both_kinds() -> None:
    log = Log()
    matched = sale("o-1", 7, -3)
    unmatched = sale("o-1", 7, -1, unmatched=True)
    unmatched.lines[0].line_no = 2
    log.add(topics.SALES, matched)
    log.add(topics.SALES, unmatched)
    batch = rows_of(log)
    assert len(batch.rows["sale_events"]) == 1
    assert [row.unmatched for row in batch.rows["sales"].values()] == [False, True]


def test_known_at_of_history_is_kept() -> None:
    log = Log()
    earlier = AT - timedelta(days=400)
    log.add(topics.SALES, sale("o-1", 7, 3, known_at=earlier))
    (event,) = rows_of(log).rows["sale_events"].values()
    assert event.known_at == earlier


def test_only_the_last_level_counts_and_what_is_no_level_is_passed_over() -> None:
    log = Log()
    log.add(topics.STOCK_LEVELS, level("A", 5, 1))
    log.add(topics.STOCK_LEVELS, level("A", 4, 2, unknown_product=True))
    log.add(topics.STOCK_LEVELS, SkuState(sku="A"))
    log.add_raw(topics.STOCK_LEVELS, b"A|#1|", b'{"type":"seen","sku":"A","slot":1,"ids":""}')
    log.add_raw(topics.STOCK_LEVELS, position_key(0).encode(), b"{}", partition=0)
    batch = rows_of(log)
    (row,) = batch.rows["inventory"].values()
    assert (row.on_hand, row.version, row.unknown_product) == (4, 2, True)
    assert row.cause == '{"stock-commands":2}'
    assert not batch.refused
    assert not batch.skipped


def test_state_that_does_not_decode_does_not_hide_the_one_before() -> None:
    log = Log()
    log.add(topics.STOCK_LEVELS, level("A", 5, 1))
    log.add_raw(topics.STOCK_LEVELS, b"A|cairo-1", b"no JSON")
    batch = rows_of(log)
    (row,) = batch.rows["inventory"].values()
    assert row.on_hand == 5
    assert batch.skipped == {"stock-levels": 1}


def test_thresholds_of_two_sources_stand_side_by_side_until_deleted() -> None:
    log = Log()
    place = {"occurred_at": AT, "sku": "A", "location_id": "cairo-1"}
    point = ReorderPoint(id="r", raise_at=5, clear_at=9, order_quantity=20, **place)  # type: ignore[arg-type]
    override = ThresholdOverride(id="t", raise_at=7, clear_at=8, until=AT, **place)  # type: ignore[arg-type]
    log.add(topics.REORDER_POINTS, point)
    log.add(topics.THRESHOLD_OVERRIDES, override)
    rows = rows_of(log).rows["thresholds"]
    assert rows["A", "cairo-1", "reorder-point"].order_quantity == 20
    assert rows["A", "cairo-1", "override"].until == AT
    log.add_raw(topics.THRESHOLD_OVERRIDES, b"A|cairo-1", None)
    rows = rows_of(log).rows["thresholds"]
    assert rows["A", "cairo-1", "override"] is None
    assert rows["A", "cairo-1", "reorder-point"].raise_at == 5


def test_alerts_have_a_state_and_a_history() -> None:
    log = Log()
    state = AlertState(
        sku="A", location_id="cairo-1", severity="low", version=3, occurred_at=AT, recorded_at=AT
    )
    log.add(topics.ALERT_STATES, state)
    change = AlertChanged(
        id="a-1/3", occurred_at=AT, sku="A", location_id="cairo-1", alert_id="a-1", what="raised",
        old_state="ok", state="low", level=8, raise_at=10, clear_at=13, since=AT, why="low",
        threshold_source="default", version=3, recorded_at=AT,
    )  # fmt: skip
    log.add(topics.LOW_STOCK_ALERTS, change)
    batch = rows_of(log)
    assert batch.rows["alerts"]["A", "cairo-1"].severity == "low"
    assert batch.rows["alert_history"][("a-1/3",)].what == "raised"


def test_import_report_is_a_row() -> None:
    log = Log()
    report = ImportProgress(
        id="i", occurred_at=AT, import_id="i-1", source="superstore", file="x.csv", status="done",
        rows_read=3, published_rows=2, quarantined_rows=1, cleaned={"trim": 1},
    )  # fmt: skip
    log.add(topics.IMPORTS, report)
    (row,) = rows_of(log).rows["imports"].values()
    assert (row.rows_read, row.cleaned, row.status) == (3, '{"trim":1}', "done")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "key", "value", "reason"),
    [
        (topics.LOCATIONS, b"cairo-1", b"{", "not_json"),
        (topics.LOCATIONS, b"cairo-1", b'{"type":"location"}', "invalid"),
        (topics.SALES, b"o-1", None, "null_body"),
        (topics.CUSTOMERS, b"", None, "wrong_key"),
        (topics.CUSTOMERS, b"\xff", None, "wrong_key"),
    ],
)
def test_bad_record_of_our_topics_becomes_a_dead_letter(
    topic: topics.Topic, key: bytes, value: bytes | None, reason: str
) -> None:
    log = Log()
    record = log.add_raw(topic, key, value, partition=partition_of("o-1", PARTITIONS[topic.name]))
    ((refused, why),) = rows_of(log).refused
    assert (refused, why.reason) == (record, reason)


def test_bad_record_of_a_topic_that_a_fold_guards_is_only_counted() -> None:
    log = Log()
    log.add_raw(topics.PRODUCTS, b"A", b"{")
    log.add_raw(topics.ORDERS, b"o-1", b"{")
    batch = rows_of(log)
    assert not batch.refused
    assert batch.skipped == {"products": 1, "orders": 1}


def test_order_placed_in_anothers_partition_is_not_taken() -> None:
    log = Log()
    right = partition_of("o-1", 2)
    record = log.add(topics.ORDERS, placed("o-1", "A"))
    log.records.clear()
    log.add_raw(topics.ORDERS, record.key, record.value, partition=1 - right)
    batch = rows_of(log)
    assert not batch.rows["orders"]
    assert batch.skipped == {"orders": 1}


def test_placeholders_are_added_for_what_is_referred_to_and_unknown() -> None:
    log = Log()
    log.add(topics.SALES, sale("o-1", 7, 3, sku="B"))
    log.add(topics.ORDERS, placed("o-2", "A"))
    log.add(topics.PRODUCTS, product("A", supplier_id="s-1"))
    log.add(topics.ORDER_STATES, order_state("o-3", 1, parts=(Part(location_id="g", quantity=1),)))
    batch = rows_of(log)
    batch.add_placeholders(NOTHING_KNOWN | {"customers": {"c-1"}})
    versions = {row.sku: row.version for row in batch.rows["products"].values()}
    assert versions == {"A": 0, "B": PLACEHOLDER}
    assert set(batch.rows["locations"]) == {("cairo-1",), ("g",)}
    assert set(batch.rows["orders"]) == {("o-1",), ("o-2",), ("o-3",)}
    assert set(batch.rows["suppliers"]) == {("s-1",)}
    assert not batch.rows["customers"]


# --- dead letters ---------------------------------------------------------------------------------


def test_dead_letter_stands_under_the_place_of_the_record_it_is_about() -> None:
    log = Log()
    at = Arrival("orders", 1, 42, AT)
    headers = dead_letter_headers(
        at, Refused("invalid", "no\x00t so", "lines.0"), [("ce_id", b"x")]
    )
    log.add_raw(topics.DEAD_LETTERS, b"o-1", b"{", tuple(headers))
    (row,) = rows_of(log).rows["dead_letters"].values()
    assert row[:6] == ("orders", 1, 42, "invalid", "lines.0", "no\ufffdt so")
    assert (row.key, row.body, row.headers) == (b"o-1", b"{", '[["ce_id","x"]]')
    assert (row.letter_partition, row.letter_offset, row.recorded_at) == (0, 0, AT)


def test_letter_without_its_headers_is_about_itself() -> None:
    log = Log()
    log.add_raw(topics.DEAD_LETTERS, None, b"?", (("dl_topic", b"orders"),))
    (row,) = rows_of(log).rows["dead_letters"].values()
    assert row[:4] == ("dead-letters", 0, 0, "unknown")


def test_same_refusal_told_twice_is_one_letter() -> None:
    log = Log()
    headers = tuple(dead_letter_headers(Arrival("sales", 1, 4, AT), Refused("invalid", "x")))
    for _ in range(2):
        log.add_raw(topics.DEAD_LETTERS, b"o-1", b"{", headers)
    (row,) = rows_of(log).rows["dead_letters"].values()
    assert row.letter_offset == 0


# --- the registry and the tables ------------------------------------------------------------------


def test_every_topic_that_the_sink_reads_has_rows_or_is_passed_over_on_purpose() -> None:
    assert {topic.name for topic in READ} == {
        "products", "locations", "suppliers", "customers", "orders", "order-states", "sales",
        "stock-levels", "reorder-points", "threshold-overrides", "low-stock-alerts",
        "alert-states", "imports", "dead-letters",
    }  # fmt: skip


def test_parents_come_before_children() -> None:
    seen: set[str] = set()
    for table in TABLES:
        assert set(table.parents.values()) <= seen
        seen.add(table.name)


def test_ship_to_of_nothing_is_no_place() -> None:
    log = Log()
    log.add(topics.SALES, sale("o-1", 7, 3, ship_to=ShipTo()))
    batch = rows_of(log)
    assert not batch.rows["places"]
    assert (
        BY_NAME["sale_events"].row(*next(iter(batch.rows["sale_events"].values()))).priority is None
    )
