"""A till: what was sold has been sold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from schemas.events.orders import OrderLine, OrderPlaced

FOUR_PLACES = Decimal("0.0001")
"""As the stores keep money."""


@dataclass(frozen=True, slots=True)
class BasketItem:
    """What a customer takes of a product, at the price of one unit.

    service: postage, a fee: sold but never stocked.
    """

    sku: str
    quantity: int
    unit_price: Decimal
    service: bool = False


def order_lines(basket: Sequence[BasketItem]) -> list[OrderLine]:
    """The lines of an order, numbered from 1; the same SKU twice stays two lines.

    Money is written with four places, so that 2 and 2.00 make the same order.
    """
    return [
        OrderLine(
            line_no=line_no,
            sku=item.sku,
            quantity=item.quantity,
            unit_price=item.unit_price.quantize(FOUR_PLACES),
            amount=(item.unit_price * item.quantity).quantize(FOUR_PLACES),
            service=item.service,
        )
        for line_no, item in enumerate(basket, start=1)
    ]


def sale(
    order_id: str,
    location_id: str,
    basket: Sequence[BasketItem],
    currency: str,
    at: datetime,
    by: str | None = None,
) -> OrderPlaced:
    """A till's sale: placed, paid and taken away in one.

    order_id: made by the till, once a sale: sending it again counts once.
    """
    return OrderPlaced(
        id=f"{order_id}:placed",
        occurred_at=at,
        by=by,
        order_id=order_id,
        channel="pos",
        currency=currency,
        lines=order_lines(basket),
        location_id=location_id,
    )
