"""THE registry of topics: every name, key, shape, writer and reader, on one screen.

Creation of topics, `docs/topics.md`, the AsyncAPI document, codecs and sinks all follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from schemas.events import alerts, catalog, imports, orders, stock

FOLDS = ("orders", "stock", "alerts")
Group = Literal["sku", "order", "other"]
"""Topics of one group have one partition count and one partitioner, so that they can be joined:
`sku` partitions by the part of the key before `|`, `order` and `other` by the whole key."""


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """One topic. There is one object of each, so they compare and hash by identity.

    key: the names of the body's fields that make the key, joined by `|`.
    models: what the `type` field of a body may name; none for `dead-letters`, which carries
        the original bytes.
    keep: kept for ever; otherwise compacted, and a null body deletes its key.
    flow: who writes -> who reads.
    ledger: written by a fold as its table's changelog; also holds `@position` records.
    personal: holds personal data, so what was overwritten must go within days.
    """

    name: str
    key: tuple[str, ...]
    models: tuple[Any, ...]
    group: Group
    keep: bool
    flow: str
    why: str
    ledger: bool = False
    personal: bool = False

    @property
    def writers(self) -> tuple[str, ...]:
        return tuple(self.flow.split(" -> ")[0].split())

    @property
    def readers(self) -> tuple[str, ...]:
        return tuple(self.flow.split(" -> ")[1].split())

    @property
    def ours(self) -> bool:
        """Written by folds alone, so their bodies are known to be sound."""
        return all(writer in FOLDS for writer in self.writers)

    @property
    def guard(self) -> str:
        """The one reader that turns this topic's bad records into dead letters."""
        folds = [reader for reader in self.readers if reader in FOLDS]
        sinks = [reader for reader in self.readers if reader.startswith("sink-")]
        return (folds or sorted(sinks, reverse=True))[0]


ORDER_COMMANDS = (
    orders.OrderPlaced,
    orders.OrderPaid,
    orders.OrderCancelled,
    orders.OrderShipped,
    orders.OrderDelivered,
    orders.OrderReturned,
    orders.OrderExpire,
)
OUTSIDE_COMMANDS = (
    stock.ReceiveStock,
    stock.TransferStock,
    stock.AdjustStock,
    stock.CountStock,
)
INSIDE_COMMANDS = (
    stock.SellStock,
    stock.ReserveStock,
    stock.ReleaseStock,
    stock.ShipStock,
    stock.ReturnStock,
)
ALERT_CMDS = (
    alerts.AcknowledgeAlert,
    alerts.SnoozeAlert,
    alerts.ResolveAlert,
    alerts.RecheckAlert,
)
LEVELS = (stock.StockLevel, stock.SkuState, stock.SeenCommands)
ANSWERS = (stock.LineAllocated, stock.LineQueued, stock.LineRefused)
PLACE = ("sku", "location_id")
KEEP, COMPACT = True, False

# fmt: off
PRODUCTS = Topic("products", ("sku",), (catalog.Product,), "sku", COMPACT,
    "importers shell -> stock sink-postgres sink-clickhouse", "what is sold")
LOCATIONS = Topic("locations", ("location_id",), (catalog.Location,), "other", COMPACT,
    "importers shell -> sink-postgres sink-clickhouse", "where stock is held")
SUPPLIERS = Topic("suppliers", ("supplier_id",), (catalog.Supplier,), "other", COMPACT,
    "importers -> sink-postgres sink-clickhouse", "who delivers")
CUSTOMERS = Topic("customers", ("customer_id",), (catalog.Customer,), "other", COMPACT,
    "importers -> sink-postgres sink-clickhouse", "the only personal data", personal=True)
ORDERS = Topic("orders", ("order_id",), ORDER_COMMANDS, "order", KEEP,
    "tills shell importers timers -> orders sink-postgres", "what customers want")
ORDER_STATES = Topic("order-states", ("order_id",), (orders.OrderState,), "order", COMPACT,
    "orders -> timers sink-postgres", "ledger of the order fold", ledger=True)
SALES = Topic("sales", ("order_id",), (orders.SalesRecorded,), "order", KEEP,
    "orders -> sink-postgres sink-clickhouse", "facts: lines sold and returned")
STOCK_COMMANDS = Topic("stock-commands", ("sku",), OUTSIDE_COMMANDS + INSIDE_COMMANDS, "sku", KEEP,
    "orders shell importers -> stock", "what shall change stock")
ALLOCATIONS = Topic("allocations", ("order_id",), ANSWERS, "order", KEEP,
    "stock -> orders", "what stock answers: reserved where, queued, or refused")
STOCK_MOVEMENTS = Topic("stock-movements", ("sku",), (stock.StockMoved,), "sku", KEEP,
    "stock -> sink-clickhouse", "facts: every change of stock; on hand is their sum")
STOCK_LEVELS = Topic("stock-levels", PLACE, LEVELS, "sku", COMPACT,
    "stock -> alerts sink-postgres sink-clickhouse",
    "ledger of the stock fold; keys that end in `|` hold what belongs to the SKU", ledger=True)
REORDER_POINTS = Topic("reorder-points", PLACE, (alerts.ReorderPoint,), "sku", COMPACT,
    "shell -> alerts sink-postgres", "when to reorder, as computed")
THRESHOLD_OVERRIDES = Topic("threshold-overrides", PLACE, (alerts.ThresholdOverride,), "sku",
    COMPACT, "shell -> alerts sink-postgres", "the same, as people set it")
ALERT_COMMANDS = Topic("alert-commands", PLACE, ALERT_CMDS, "sku", KEEP,
    "shell importers timers -> alerts", "acknowledge, snooze, resolve, recheck")
LOW_STOCK_ALERTS = Topic("low-stock-alerts", PLACE, (alerts.AlertChanged,), "sku", KEEP,
    "alerts -> shell sink-postgres sink-clickhouse", "facts: every change of an alert, for ops")
ALERT_STATES = Topic("alert-states", PLACE, (alerts.AlertState,), "sku", COMPACT,
    "alerts -> timers sink-postgres", "ledger of the alert fold", ledger=True)
IMPORTS = Topic("imports", ("import_id",), (imports.ImportProgress,), "other", COMPACT,
    "importers -> importers sink-postgres", "how far an import is, and its report")
DEAD_LETTERS = Topic("dead-letters", (), (), "other", KEEP,
    "orders stock alerts sink-postgres sink-clickhouse -> shell sink-postgres",
    "refused records: the original bytes, the reason in headers")
# fmt: on

TOPICS = (
    PRODUCTS,
    LOCATIONS,
    SUPPLIERS,
    CUSTOMERS,
    ORDERS,
    ORDER_STATES,
    SALES,
    STOCK_COMMANDS,
    ALLOCATIONS,
    STOCK_MOVEMENTS,
    STOCK_LEVELS,
    REORDER_POINTS,
    THRESHOLD_OVERRIDES,
    ALERT_COMMANDS,
    LOW_STOCK_ALERTS,
    ALERT_STATES,
    IMPORTS,
    DEAD_LETTERS,
)
BY_NAME = {topic.name: topic for topic in TOPICS}


def key_of(topic: Topic, body: Any) -> str:
    """The key of a body on its topic; a state of a SKU as a whole has no place: `sku|`."""
    if len(topic.key) == 1:
        key: str = getattr(body, topic.key[0])
        return key
    return "|".join([str(getattr(body, field, "")) for field in topic.key])
