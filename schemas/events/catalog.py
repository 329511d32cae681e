"""What trade is about: products, places, suppliers, customers. The latest of each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.events.base import Currency, Event, Id, Level, LocationId, Money, Sku, Text


@dataclass(slots=True, kw_only=True)
class Product(Event):
    """A thing that is sold.

    stocked: False for a service (postage, a fee), which moves no stock.
    safety_stock: units a place keeps back from web orders.
    backorder_limit: units that web orders may wait for, all places together.
    barcode: GTIN-8, -12, -13 or -14.
    retired: no longer sold; its history stays.
    """

    type: Literal["product"] = "product"
    sku: Sku
    name: Text
    category: Text | None = None
    sub_category: Text | None = None
    price: Money | None = None
    currency: Currency | None = None
    size: Text | None = None
    barcode: Annotated[str, StringConstraints(pattern=r"^(\d{8}|\d{12,14})$")] | None = None
    stocked: bool = True
    safety_stock: Level = 0
    backorder_limit: Level = 0
    supplier_id: Id | None = None
    retired: bool = False

    def __post_init__(self) -> None:
        if self.price is not None and self.currency is None:
            raise ValueError("a price needs its currency")


@dataclass(slots=True, kw_only=True)
class Location(Event):
    """A place that holds stock."""

    type: Literal["location"] = "location"
    location_id: LocationId
    name: Text
    kind: Literal["store", "warehouse"] = "store"
    city: Text | None = None
    state: Text | None = None
    country: Text | None = None
    market: Text | None = None
    region: Text | None = None


@dataclass(slots=True, kw_only=True)
class Supplier(Event):
    type: Literal["supplier"] = "supplier"
    supplier_id: Id
    name: Text
    country: Text | None = None
    email: Text | None = None
    lead_time_days: Annotated[int, Field(ge=0, le=3650)] | None = None


@dataclass(slots=True, kw_only=True)
class Customer(Event):
    """The only place for personal data: overwritten here, it is gone everywhere."""

    type: Literal["customer"] = "customer"
    customer_id: Id
    name: Text | None = None
    segment: Text | None = None
    email: Text | None = None
    street: Text | None = None
    city: Text | None = None
    state: Text | None = None
    postal_code: Text | None = None
    country: Text | None = None
