"""Bodies that nobody should have to live with, and why each is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.topics import ORDERS, STOCK_COMMANDS, Topic

AT = "2026-05-01T12:00:00Z"


@dataclass(frozen=True)
class Poison:
    """key: of the record. reason: the code that the dead letter must carry."""

    what: str
    topic: Topic
    key: str
    body: bytes | None
    reason: str = "invalid"


def receipt(sku: str, **changed: Any) -> dict[str, Any]:
    return {
        "type": "receive",
        "id": f"poison/{sku}",
        "occurred_at": AT,
        "sku": sku,
        "location_id": "cairo-1",
        "quantity": 5,
    } | changed


def order(order_id: str, sku: str, count: int = 1, **changed: Any) -> dict[str, Any]:
    return {
        "type": "placed",
        "id": f"poison/{order_id}",
        "occurred_at": AT,
        "order_id": order_id,
        "channel": "pos",
        "location_id": "cairo-1",
        "currency": "EGP",
        "lines": [
            {"line_no": n, "sku": sku, "quantity": 1, "unit_price": "1.50", "amount": "1.50"}
            for n in range(1, count + 1)
        ],
    } | changed


def poisons(sku: str) -> list[Poison]:
    """One of each kind; `sku` is theirs alone."""

    def stock(what: str, body: Any, reason: str = "invalid", key: str = sku) -> Poison:
        encoded = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return Poison(what, STOCK_COMMANDS, key, encoded, reason)

    def shop(what: str, body: dict[str, Any]) -> Poison:
        return Poison(what, ORDERS, body["order_id"], json.dumps(body).encode())

    def without(field: str) -> dict[str, Any]:
        return {name: value for name, value in receipt(sku).items() if name != field}

    line = order("x", sku)["lines"][0]
    return [
        stock("not JSON", b"{not json", "not_json"),
        stock("cut off", json.dumps(receipt(sku)).encode()[:-9], "not_json"),
        stock("not UTF-8", json.dumps(receipt(sku)).encode() + b"\xff", "not_json"),
        stock("nested without end", b"[" * 50_000, "not_json"),
        stock("a lone surrogate", receipt(sku, reason="\ud800"), "not_json"),
        stock("empty", b"", "not_json"),
        stock("a null body", None, "null_body"),
        stock("an array", []),
        stock("a number", 5),
        stock("an empty object", {}),
        stock("an unknown type", receipt(sku, type="steal")),
        stock("no type", without("type")),
        stock("a missing field", without("quantity")),
        stock("a text for a number", receipt(sku, quantity="5")),
        stock("a fraction", receipt(sku, quantity=1.5)),
        stock("a truth value", receipt(sku, quantity=True)),
        stock("quantity 0", receipt(sku, quantity=0)),
        stock("a negative quantity", receipt(sku, quantity=-5)),
        stock("quantity beyond 10^9", receipt(sku, quantity=10**9 + 1)),
        stock("a number of 400 digits", receipt(sku, quantity=10**399)),
        stock("NaN", json.dumps(receipt(sku)).encode().replace(b": 5", b": NaN")),
        stock("a date without zone", receipt(sku, occurred_at="2026-05-01T12:00:00")),
        stock("a date in year 1", receipt(sku, occurred_at="0001-01-01T00:00:00Z")),
        stock("a date in year 9999", receipt(sku, occurred_at="9999-01-01T00:00:00Z")),
        stock("no date", receipt(sku, occurred_at="soon")),
        stock("a text of nearly 1 MB", receipt(sku, reason="x" * 900_000)),
        stock("a control character", receipt(sku, reason="bell\x07")),
        stock("a NUL", receipt(sku, document="a\x00b")),
        stock("a SKU in another spelling", receipt(sku.lower()), key=sku.lower()),
        stock("a SKU with a bar", receipt(f"{sku}|X"), key=f"{sku}|X"),
        stock("the key of another SKU", receipt(sku), "wrong_key", key=f"{sku}-OTHER"),
        stock("an adjustment by nothing", receipt(sku, type="adjust", delta=0, reason="x")),
        shop("5,000 lines", order("p-5000", sku, count=5_000)),
        shop("no lines", order("p-0", sku, count=0)),
        shop("a line number twice", order("p-twice", sku, lines=[line, line])),
        shop("money with five places", order("p-5", sku, lines=[line | {"amount": "1.00001"}])),
        shop("infinite money", order("p-inf", sku, lines=[line | {"amount": "Infinity"}])),
        shop("a currency that is none", order("p-cur", sku, currency="pounds")),
        shop("a web order from nowhere", order("p-web", sku, channel="web")),
        shop("a till without place", order("p-till", sku, location_id=None)),
    ]
