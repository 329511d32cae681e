"""What follows on an order's placement, by type of event."""

from __future__ import annotations

from collections.abc import Callable

from schemas.events.orders import OrderCancelled, OrderDelivered, OrderPaid, OrderShipped
from stream_processors.orders.ending import cancel
from stream_processors.orders.leaving import deliver, ship
from stream_processors.orders.paying import pay
from stream_processors.orders.step import Step

FOLLOW: dict[type, Callable[[Step], None]] = {
    OrderPaid: pay,
    OrderCancelled: cancel,
    OrderShipped: ship,
    OrderDelivered: deliver,
}
"""Each may come before the order is placed; then it waits and is applied right after that."""
