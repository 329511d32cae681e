"""Commands: pos, order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from inventory.commands.catalogue import (
    DEFAULT_CURRENCY,
    Catalogue,
    price_basket,
    read_catalogue,
    unknown_places,
)
from inventory.commands.effects import WAIT, Complete, Effect, Wait, whoami
from inventory.commands.items import Item, parse_id, parse_items, parse_lines
from inventory.commands.ledgers import read_state
from inventory.commands.order_texts import order_facts, print_order
from inventory.commands.order_work import (
    answered,
    applied,
    carry_out_event,
    moved,
    report,
    reserved,
)
from inventory.commands.printing import Json, note, print_json
from producers import pos as till
from producers import shop
from runtime.clock import new_id, now
from runtime.errors import InventoryError, Unavailable
from runtime.settings import Settings, load_settings
from schemas.events.base import ShipTo
from schemas.events.orders import OrderEvent, OrderState, Priority
from schemas.topics import ORDER_STATES

Items = Annotated[
    list[str], typer.Option("--item", metavar="SKU:QTY[@PRICE]", help="Once for each product.")
]
Currency = Annotated[
    str | None, typer.Option(help="ISO 4217 code.", show_default="the catalogue's, else EUR")
]
Order = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]
OwnId = Annotated[
    str | None,
    typer.Option(
        "--order-id",
        help="An id of your own: the same again counts once.",
        show_default="a new one",
    ),
]

pos = typer.Typer(
    no_args_is_help=True,
    help="A till: what was sold here has left the shelf.",
    epilog="Example: **inventory pos sale --location cairo-1 --item TEA-250:4**",
)
order = typer.Typer(
    no_args_is_help=True,
    help="A web shop: orders that reserve, are paid, shipped, cancelled, returned.",
    epilog="Example: **inventory order place --item TEA-250:2 --ship-from cairo-1,giza-2**",
)


# --- till -----------------------------------------------------------------------------------------


@pos.command(
    "sale",
    epilog="Example: **inventory pos sale --location cairo-1 --item TEA-250:4 --item MUG:1@7.90**",
)
def sale(
    location: Annotated[str, typer.Option(help="The place where the till stands.")],
    item: Items,
    currency: Currency = None,
    order_id: OwnId = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Sell over the counter, and say what is left; prints the order's id.

    Without @PRICE the catalogue's price counts. A sale is always taken: if the books say that
    nothing was left, on hand goes below zero, for somebody to look at. The same --order-id
    again is the same sale: it counts once.
    """
    settings, items = load_settings(), parse_items(item)
    parse_id(location, "place")
    sale_id = _id_of(order_id)

    async def work() -> Effect:
        catalogue = await read_catalogue(settings, [item.sku for item in items])
        basket = price_basket(items, catalogue, currency and currency.upper())
        _say_notes([*basket.notes, *unknown_places(catalogue, [location])])
        before = await _placed_before(settings, order_id)
        # With the time when it was rung up first, it is the same sale.
        at = (before and before.placed_at) or now()
        event = till.sale(sale_id, location, basket.items, basket.currency, at, whoami())
        stocked = {line.line_no for line in event.lines if not line.service}
        return await carry_out_event(settings, event, items, moved("sell", stocked), wait, before)

    try:
        effect = asyncio.run(work())
    except Unavailable as error:
        raise Unavailable(
            str(error),
            remedy=f"{error.remedy} Then ring it up again with --order-id {sale_id}: whether or "
            "not it had arrived, it counts once.",
        ) from error
    report(sale_id, effect, as_json=as_json)


def _id_of(own_id: str | None) -> str:
    return new_id() if own_id is None else parse_id(own_id, "order id", 128)


async def _placed_before(settings: Settings, own_id: str | None) -> OrderState | None:
    """The order, where one of this id may have been placed before."""
    if own_id is None:
        return None
    state: OrderState | None = await read_state(settings, ORDER_STATES, own_id)
    return state


# --- web shop -------------------------------------------------------------------------------------


@order.command(
    "place",
    epilog="Example: **inventory order place --item TEA-250:2 --ship-from cairo-1,giza-2**",
)
def place(
    item: Items,
    ship_from: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Places to take stock from, best first.",
            show_default="all that stock it, fullest first",
        ),
    ] = None,
    customer: Annotated[str | None, typer.Option(help="The customer's id.")] = None,
    country: Annotated[str | None, typer.Option(help="Where it goes.")] = None,
    province: Annotated[str | None, typer.Option(help="State or province.")] = None,
    city: Annotated[str | None, typer.Option(help="City.")] = None,
    currency: Currency = None,
    accept_partial: Annotated[
        bool, typer.Option("--accept-partial", help="Take what there is and drop the rest.")
    ] = False,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it is.")] = None,
    own_id: OwnId = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Order from the shop: says of each line where it stands reserved, queued, or refused.

    Exit code 1 where the order is refused. A reservation that isn't paid ends by itself.
    """
    settings, items = load_settings(), parse_items(item)
    order_id = _id_of(own_id)
    checkout = shop.Checkout(
        currency="",
        ship_from=[
            parse_id(name, "place")
            for part in (ship_from or "").split(",")
            if (name := part.strip())
        ],
        pay_within=timedelta(minutes=settings.pay_within_minutes),
        ship_to=ShipTo(country=country, state=province, city=city),
        customer_id=customer,
        priority=priority,
        accept_partial=accept_partial,
    )

    async def work() -> Effect:
        catalogue = await read_catalogue(settings, [item.sku for item in items])
        basket = price_basket(items, catalogue, currency and currency.upper())
        places = checkout.ship_from or _stocking(items, catalogue)
        _say_notes([*basket.notes, *unknown_places(catalogue, places)])
        chosen = replace(checkout, currency=basket.currency, ship_from=places)
        before = await _placed_before(settings, own_id)
        at = (before and before.placed_at) or now()
        event = shop.place(order_id, basket.items, chosen, at, whoami())
        return await carry_out_event(settings, event, items, answered, wait, before)

    effect = asyncio.run(work())
    report(order_id, effect, as_json=as_json)
    if order_id in effect.states and effect.states[order_id].status == "refused":
        raise typer.Exit(1)


@order.command("pay", epilog="Example: **inventory order pay ORDER --method card**")
def pay(
    order_id: Order,
    method: Annotated[str | None, typer.Option(help="How it was paid.")] = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """The money has come: the reservation stays until it is shipped."""

    def event(_before: OrderState | None) -> tuple[OrderEvent, Complete]:
        return shop.pay(new_id(), order_id, method, now(), whoami()), applied

    _change(order_id, event, wait, as_json)


@order.command("ship", epilog="Example: **inventory order ship ORDER --line 1:2**")
def ship(
    order_id: Order,
    line: Annotated[
        list[str] | None,
        typer.Option(metavar="N:QTY", help="Once for each line.", show_default="all reserved"),
    ] = None,
    tracking: Annotated[str | None, typer.Option(help="The carrier's number.")] = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Goods left, in whole or in part: they are sold now and no longer on hand."""
    lines = parse_lines(line or [])

    def event(before: OrderState | None) -> tuple[OrderEvent, Complete]:
        shipped = shop.ship(new_id(), order_id, lines, tracking, now(), whoami())
        return shipped, moved("ship", {number for number, _ in lines} or reserved(before))

    _change(order_id, event, wait, as_json)


@order.command("cancel", epilog="Example: **inventory order cancel ORDER --reason 'called us'**")
def cancel(
    order_id: Order,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Call the order off: what stands reserved is given back."""

    def event(before: OrderState | None) -> tuple[OrderEvent, Complete]:
        cancelled = shop.cancel(new_id(), order_id, reason, now(), whoami())
        return cancelled, moved("release", reserved(before))

    _change(order_id, event, wait, as_json)


@order.command(
    "return",
    epilog="Example: **inventory order return ORDER --item TEA-250:1 --location cairo-1**",
)
def take_back(
    order_id: Order,
    item: Items,
    location: Annotated[str, typer.Option(help="The place where the goods came back.")],
    no_restock: Annotated[
        bool, typer.Option("--no-restock", help="They can't be sold again.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    currency: Currency = None,
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Goods came back: money is given back, and they can be sold again.

    Without @PRICE what the order's line had cost is given back. An order that is not known
    here is taken all the same, and marked.
    """
    items = parse_items(item)
    parse_id(location, "place")
    if len({one.sku for one in items}) < len(items):
        raise InventoryError("A product came twice.", remedy="Name each once, with all its units.")

    def event(before: OrderState | None) -> tuple[OrderEvent, Complete]:
        lines = shop.returned_items(before, [_back(item) for item in items], not no_restock)
        returned = shop.take_back(
            new_id(),
            order_id,
            location,
            (before and before.currency) or (currency or DEFAULT_CURRENCY).upper(),
            lines,
            before,
            reason,
            now(),
            whoami(),
        )
        sold = {line.line_no for line in before.lines} if before else set()
        for beyond in (line for line in lines if line.line_no not in sold):
            note(f"{beyond.quantity} of {beyond.sku} beyond what the order sold: marked unmatched.")
        moving = {line.line_no for line in lines if line.restock and not line.service}
        return returned, moved("return", moving)

    _change(order_id, event, wait, as_json, items)


@order.command("show", epilog="Example: **inventory order show ORDER**")
def show(order_id: Order, as_json: Json = False) -> None:
    """An order as the order fold knows it this moment: its lines, and what became of each."""
    state = asyncio.run(read_state(load_settings(), ORDER_STATES, order_id))
    if state is None:
        raise InventoryError(
            f"Order {order_id} is not known.",
            remedy="An order placed a moment ago may still be in work; else check the id.",
        )
    if as_json:
        print_json(order_facts(state))
    else:
        print_order(state)


def _change(
    order_id: str,
    event_for: Callable[[OrderState | None], tuple[OrderEvent, Complete]],
    wait: float,
    as_json: bool,
    items: Sequence[Item] = (),
) -> None:
    """Publish what happens to an order that is there already."""
    settings = load_settings()
    parse_id(order_id, "order id", 128)

    async def work() -> Effect:
        before: OrderState | None = await read_state(settings, ORDER_STATES, order_id)
        if before is None:
            note(f"Order {order_id} is not known yet; if it comes, this waits for it.")
        event, complete = event_for(before)
        lines = [Item(line.sku, line.quantity) for line in before.lines] if before else []
        return await carry_out_event(settings, event, [*items, *lines], complete, wait)

    report(order_id, asyncio.run(work()), as_json=as_json)


def _stocking(items: Sequence[Item], catalogue: Catalogue) -> Sequence[str]:
    if catalogue.ship_from:
        return catalogue.ship_from
    raise InventoryError(
        f"No place is known that stocks {', '.join(item.sku for item in items)}.",
        remedy="Name the places to take stock from: --ship-from cairo-1,giza-2.",
    )


def _back(item: Item) -> shop.BackItem:
    return shop.BackItem(item.sku, item.number, item.price)


def _say_notes(notes: Sequence[str]) -> None:
    for sentence in notes:
        note(sentence)


def register(root: typer.Typer) -> None:
    """Add these commands to the app."""
    root.add_typer(pos, name="pos")
    root.add_typer(order, name="order")
