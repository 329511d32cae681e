"""What the rows of each source become."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from producers.importers import locations, online_retail, products, stock, superstore, suppliers
from producers.importers.publishing import to_message
from producers.importers.source import slug
from producers.importers.spool import Spool
from schemas.events.base import ORDER_LINES_MAX
from tests.support.importers import NOW, row


def retail(*rows: Any) -> list[Any]:
    return [out.event for out in online_retail.events_of(rows, NOW)]


# --- online retail --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("invoice", "quantity", "price", "customer", "kind"),
    [
        ("536365", "6", "2.55", "17850", "sale"),
        ("536365", "6", "2.55", "", "sale"),
        ("536365", "6", "0.0", "17850", "sale"),  # given away to somebody known
        ("536365", "6", "0.0", "", "adjust"),  # found
        ("536365", "-6", "0.0", "", "adjust"),  # written off
        ("C536365", "-6", "2.55", "17850", "return"),
        ("C536365", "-6", "0.0", "", "return"),
    ],
)
def test_kinds_of_lines(invoice: str, quantity: str, price: str, customer: str, kind: str) -> None:
    assert online_retail.kind_of(invoice, quantity, price, customer) == kind


@pytest.mark.parametrize("sku", ["POST", "DOT", "M", "C2", "BANK CHARGES", "GIFT_0001_20"])
def test_services(sku: str) -> None:
    assert online_retail.is_service(sku)


@pytest.mark.parametrize("sku", ["85123A", "DCGS0003", "PADS", "DCGSSBOY", "MUG"])
def test_goods_are_no_services(sku: str) -> None:
    assert not online_retail.is_service(sku)


def test_an_invoice_becomes_an_order_and_identical_lines_stay() -> None:
    (order,) = retail(row(), row(row_no=3), row(row_no=4, sku="POST", unit_price="18.00"))
    assert order.order_id == "536365"
    assert [(line.line_no, line.sku, line.quantity) for line in order.lines] == [
        (1, "85123A", 6),
        (2, "85123A", 6),
        (3, "POST", 6),
    ]
    assert [line.service for line in order.lines] == [False, False, True]
    assert order.lines[0].amount == Decimal("15.30")
    assert order.backfill
    assert order.known_at == order.occurred_at
    assert order.ship_to.country == "United Kingdom"


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [row(row_no=n, sku=sku) for n, sku in enumerate(["B1", "A1", "C1"])]
    assert retail(*rows) == retail(*reversed(rows))


def test_two_times_on_one_invoice_the_first_counts() -> None:
    (order,) = retail(row(at=1_298_973_660), row(at=1_298_973_600, row_no=3))
    assert order.occurred_at.timestamp() == 1_298_973_600


def test_a_credit_invoice_is_a_return_with_positive_numbers() -> None:
    (event,) = retail(row(invoice="C536379", quantity="-2", customer_id=""))
    assert event.type == "returned"
    assert event.order_id == "C536379"
    assert (event.lines[0].quantity, event.lines[0].amount) == (2, Decimal("5.10"))
    assert event.customer_id is None


def test_a_credit_invoice_that_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        retail(row(invoice="C536379", quantity="2"))


def test_adjustments_have_ids_of_their_own_even_if_identical() -> None:
    lost = row(quantity="-3", unit_price="0.0", customer_id="", description="damaged")
    first, second = retail(lost, {**lost, "row_no": 3})
    assert first.id != second.id
    assert (first.delta, first.reason, first.document) == (-3, "damaged", "536365")
    assert retail(lost) == [first]


def test_a_mixed_invoice_gives_an_order_and_an_adjustment() -> None:
    given = row(row_no=3, unit_price="0.0", customer_id="")
    assert [event.type for event in retail(row(), given)] == ["placed", "adjust"]


def test_a_very_long_invoice_becomes_several_orders() -> None:
    rows = [row(row_no=n, quantity=str(n + 1)) for n in range(ORDER_LINES_MAX + 1)]
    first, second = retail(*rows)
    assert (first.order_id, len(first.lines)) == ("536365", ORDER_LINES_MAX)
    assert (second.order_id, len(second.lines)) == ("536365-2", 1)


# --- superstore -----------------------------------------------------------------------------------


def store_row(**cells: Any) -> dict[str, Any]:
    return {
        "group_key": "CA-1/LS-1",
        "row_no": 2,
        "at": 1_294_358_400,
        "stock_sku": "OFF-1",
        "stock_place": "france",
        "order_id": "CA-1",
        "customer_id": "LS-1",
        "country": "France",
        "state": "Île-de-France",
        "city": "Paris",
        "market": "EU",
        "region": "Central",
        "ship_mode": "First Class",
        "priority": "Critical",
        "quantity": "2",
        "discount": "0.2",
        "sales": "16.00",
        **cells,
    }


def test_a_superstore_order_keeps_place_priority_and_amount() -> None:
    ((_, order),) = superstore.events_of([store_row()], NOW)
    assert (order.order_id, order.priority, order.location_id) == (
        "CA-1/LS-1",
        "critical",
        "france",
    )
    assert (order.ship_to.city, order.ship_to.market) == ("Paris", "EU")
    (line,) = order.lines
    assert (line.amount, line.unit_price) == (Decimal("16.00"), Decimal("10.0000"))


def test_what_is_given_away_has_no_price() -> None:
    assert superstore.unit_price(Decimal(0), 3, Decimal(1)) == 0


def test_products_that_share_an_id_are_told_apart_by_their_names() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    spool = Spool(db, superstore.SOURCE.variants[0].columns)
    names = [column.name for column in superstore.SOURCE.variants[0].columns]
    rows = pd.DataFrame(
        [
            {**dict.fromkeys(names, "1"), "product_id": sku, "product_name": name}
            for sku, name in [("OFF-1", "Pen"), ("OFF-1", "Ink"), ("OFF-2", "Cup")]
        ]
    ).assign(ordered_on="2011-01-07 0:00:00")
    spool.add(rows, superstore.place_rows(rows))
    superstore.name_products(db)
    skus = [sku for (sku,) in db.execute("SELECT stock_sku FROM rows ORDER BY row_no")]
    assert skus[2] == "OFF-2"
    assert skus[0] != skus[1]
    assert all(sku.startswith("OFF-1-") for sku in skus[:2])


# --- lists ----------------------------------------------------------------------------------------


def test_a_product_of_a_file() -> None:
    cells = dict.fromkeys((column.name for column in products.COLUMNS), "")
    cells |= {"row_no": 2, "sku": "TEA-250", "name": "Tea", "price": "4.20", "currency": "GBP"}
    ((_, product),) = products.events_of([cells], NOW)
    assert (product.price, product.stocked, product.category) == (Decimal("4.20"), True, None)


def test_rows_that_contradict_each_other_are_refused() -> None:
    cells = {"row_no": 2, "sku": "TEA", "location_id": "a", "quantity": "3", "document": ""}
    with pytest.raises(ValueError, match="rows 2 and 9 differ in quantity"):
        stock.events_of([cells, {**cells, "row_no": 9, "quantity": "4"}], NOW)
    assert len(stock.events_of([cells, {**cells, "row_no": 9}], NOW)) == 1


def test_a_price_without_currency_makes_no_event() -> None:
    cells = dict.fromkeys((column.name for column in products.COLUMNS), "")
    cells |= {"row_no": 2, "sku": "TEA-250", "name": "Tea", "price": "4.20"}
    with pytest.raises(ValueError, match="currency"):
        products.events_of([cells], NOW)


def test_a_place_without_a_name_is_called_by_its_id() -> None:
    cells = dict.fromkeys((column.name for column in locations.COLUMNS), "")
    ((_, place),) = locations.events_of([{**cells, "row_no": 2, "location_id": "cairo-1"}], NOW)
    assert (place.name, place.kind) == ("cairo-1", "store")


def test_deliveries_name_a_supplier_as_most_of_them_do() -> None:
    rows = [{"row_no": n, "name": name} for n, name in enumerate(["ACME", "Acme", "Acme"])]
    ((_, supplier),) = suppliers.events_of_deliveries(rows, NOW)
    assert (supplier.supplier_id, supplier.name) == ("acme", "Acme")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("United States", "united-states"), ("Côte d'Ivoire", "côte-d-ivoire"), ("A|B", "a-b")],
)
def test_slug(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_long_slugs_stay_apart() -> None:
    first, second = slug("x" * 100 + "a"), slug("x" * 100 + "b")
    assert first != second
    assert max(len(first), len(second)) <= 64


def test_an_event_that_readers_would_refuse_is_not_sent() -> None:
    (out,) = online_retail.events_of([row(description="", country="x" * 501)], NOW)
    with pytest.raises(ValueError, match=r"ship_to\.country"):
        to_message(out, "online-retail")
