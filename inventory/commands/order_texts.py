"""Orders in words: how an order and each of its lines stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inventory.commands.printing import moment, print_table, say, value_text
from schemas.events.orders import LineState, OrderState

STATUS_TEXTS = {
    "early": "not placed yet: what came before waits for it",
    "placed": "placed, waits for stock's answer",
    "backordered": "backordered: a line waits for stock",
    "reserved": "reserved",
    "refused": "refused: not enough stock",
    "paid": "paid",
    "paid_unfulfilled": "paid, but the stock is gone",
    "part_shipped": "shipped in part",
    "shipped": "shipped",
    "delivered": "delivered",
    "done": "sold",
    "cancelled": "cancelled",
    "expired": "expired: not paid in time",
    "unmatched_return": "a return without a known order",
}
UNPAID = ("placed", "backordered", "reserved")


def line_text(line: LineState) -> str:
    """What has become of a line: `reserved at cairo-1 (3), giza-2 (1)`."""
    said = []
    if line.parts:
        places = ", ".join(f"{part.location_id} ({part.quantity})" for part in line.parts)
        said.append(f"reserved at {places}")
    elif line.answer == "queued":
        said.append(f"queued ({line.available or 0} available)")
    elif line.answer == "refused":
        said.append(f"refused ({line.available or 0} available)")
    elif line.answer == "open":
        said.append("no answer yet")
    elif line.answer == "released" and not line.shipped:
        said.append("given back")
    elif line.answer == "sold":
        said.append("sold")
    if line.shipped and line.answer != "sold":
        said.append(f"shipped {line.shipped}")
    if line.returned:
        said.append(f"returned {line.returned}")
    return ", ".join(said) or line.answer


def print_order(order: OrderState) -> None:
    """An order for people: how it stands, then its lines."""
    waits = order.pay_by is not None and order.status in UNPAID
    due = f", pay by {moment(order.pay_by)}" if waits else ""
    say(f"Order {order.order_id}: {STATUS_TEXTS[order.status]}{due}.")
    if order.lines:
        print_table(
            ["line", "sku", "quantity", f"amount {order.currency or ''}".strip(), ""],
            [_cells(line) for line in order.lines],
        )


def _cells(line: LineState) -> Sequence[Any]:
    amount = value_text(line.amount.normalize() if line.amount else 0)
    return line.line_no, line.sku, line.quantity, amount, line_text(line)


def order_facts(order: OrderState) -> dict[str, Any]:
    """An order for scripts."""
    return {
        "order_id": order.order_id,
        "status": order.status,
        "channel": order.channel,
        "currency": order.currency,
        "customer_id": order.customer_id,
        "placed_at": order.placed_at,
        "pay_by": order.pay_by,
        "lines": [
            {
                "line_no": line.line_no,
                "sku": line.sku,
                "quantity": line.quantity,
                "amount": line.amount,
                "answer": line.answer,
                "available": line.available,
                "reserved": line.parts,
                "shipped": line.shipped,
                "returned": line.returned,
            }
            for line in order.lines
        ],
    }
