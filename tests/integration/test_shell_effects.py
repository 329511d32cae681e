"""The shell against a real broker and a real PostgreSQL: seeing what one's own writes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from inventory.commands import ledgers
from inventory.commands.alerting import changes
from inventory.commands.catalogue import near_skus, read_catalogue
from inventory.commands.effects import carry_out, carry_out_order, shown
from inventory.commands.ledgers import read_state
from inventory.commands.letters import read_letters, retry_write
from inventory.commands.order_work import moved
from inventory.commands.querying import ask_postgres
from inventory.commands.stores import named_query
from producers.pos import BasketItem, sale
from producers.stockroom import Slip, receive, transfer
from runtime.clock import now
from runtime.errors import InventoryError, Mismatch, Unavailable
from runtime.own_writes import OwnWrites, Write, own_writes, write_of
from runtime.settings import Settings
from schemas.arrivals import Arrival, Refused
from schemas.events.alerts import AlertChanged
from schemas.events.orders import OrderState
from schemas.events.stock import StockMoved
from schemas.topics import (
    DEAD_LETTERS,
    LOW_STOCK_ALERTS,
    ORDER_STATES,
    ORDERS,
    STOCK_COMMANDS,
    STOCK_LEVELS,
    STOCK_MOVEMENTS,
)
from tests.support.platform import started
from tests.support.shell import AT, Fold, eventually, last_offset, level, movement

LONG, SHORT = 10.0, 0.5


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Servers of our own: the ledgers are written by hand here, which real folds must not see."""
    with started(tmp_path_factory.mktemp("shell") / "state") as running:
        yield running


@pytest.fixture
async def fold(settings: Settings) -> AsyncIterator[Fold]:
    async with Fold(settings) as running:
        yield running


@pytest.fixture
def sku() -> str:
    return f"TEA-{uuid4().hex[:12].upper()}"


def received(sku: str, place: str = "a") -> Write:
    return write_of(STOCK_COMMANDS, receive(Slip(str(uuid4()), AT), 1, place, sku, 3), "/test")


@asynccontextmanager
async def published(
    settings: Settings, fold: Fold, write: Write, wait: float
) -> AsyncIterator[tuple[OwnWrites, int, int]]:
    """A write that has been sent, with its partition and offset."""
    async with own_writes(settings, "/test", wait) as own:
        await own.publish([write])
        partition = fold.partition(write.topic, write.key)
        yield own, partition, await last_offset(settings, write.topic, partition)


async def test_a_write_is_applied_when_its_state_names_it(
    settings: Settings, fold: Fold, sku: str
) -> None:
    async with published(settings, fold, received(sku), LONG) as (own, _, offset):
        await fold.commit([(STOCK_LEVELS, level(sku, "a", offset, on_hand=3))])
        assert await own.applied()
        assert own.state(STOCK_LEVELS, f"{sku}|a").on_hand == 3
        assert own.seconds_left > LONG - 2


async def test_another_s_change_of_the_same_level_is_not_one_s_own(
    settings: Settings, fold: Fold, sku: str
) -> None:
    async with published(settings, fold, received(sku), SHORT) as (own, _, offset):
        await fold.commit([(STOCK_LEVELS, level(sku, "a", offset - 1))])
        assert not await own.applied()


async def test_what_was_never_committed_is_not_seen(
    settings: Settings, fold: Fold, sku: str
) -> None:
    async with published(settings, fold, received(sku), SHORT) as (own, _, offset):
        await fold.commit([(STOCK_LEVELS, level(sku, "a", offset))], abort=True)
        assert not await own.applied()


async def test_a_transfer_waits_for_both_places(settings: Settings, fold: Fold, sku: str) -> None:
    command = transfer(Slip(str(uuid4()), AT), 1, "a", "b", sku, 3)
    write = write_of(STOCK_COMMANDS, command, "/test")
    async with published(settings, fold, write, LONG) as (own, partition, offset):
        await fold.commit(
            [(STOCK_LEVELS, level(sku, place, offset)) for place in ("a", "b")],
            position=(STOCK_LEVELS, partition, "stock-commands", offset + 1),
        )
        assert await own.applied()
        assert {key for _, key in own.states} == {f"{sku}|a", f"{sku}|b"}


async def test_a_repeated_command_is_through_when_the_fold_has_passed_it(
    settings: Settings, fold: Fold, sku: str
) -> None:
    async with published(settings, fold, received(sku), LONG) as (own, partition, offset):
        await fold.commit(position=(STOCK_LEVELS, partition, "stock-commands", offset + 1))
        assert await own.applied()
        assert not own.states


async def test_a_dead_letter_is_an_error_with_its_reason(
    settings: Settings, fold: Fold, sku: str
) -> None:
    async with published(settings, fold, received(sku), LONG) as (own, partition, offset):
        arrival = Arrival("stock-commands", partition, offset, AT, sku)
        refused = Refused("too_large", "the state would not fit", "quantity")
        # A later command of the same SKU, taken in the same transaction.
        await fold.commit(
            [(STOCK_LEVELS, level(sku, "a", offset + 1))], dead=[(arrival, refused, b"x")]
        )
        with pytest.raises(InventoryError, match=r"too_large \(quantity\): the state") as raised:
            await own.applied()
        assert "dead-letters" in raised.value.remedy


async def test_of_several_writes_the_refused_one_is_named(
    settings: Settings, fold: Fold, sku: str
) -> None:
    bad, good = received(f"{sku}-BAD"), received(sku)
    async with own_writes(settings, "/test", LONG) as own:
        await own.publish([good, bad])
        places = [fold.partition(STOCK_COMMANDS, write.key) for write in (good, bad)]
        ends = [await last_offset(settings, STOCK_COMMANDS, place) for place in places]
        ends[0] -= places[0] == places[1]
        arrival = Arrival("stock-commands", places[1], ends[1], AT, bad.key)
        await fold.commit(
            [(STOCK_LEVELS, level(sku, "a", ends[0]))],
            dead=[(arrival, Refused("invalid", "no"), bad.value)],
        )
        with pytest.raises(InventoryError, match=f"{bad.key} was refused: .*1 of 2"):
            await own.applied()


async def test_an_invalid_event_is_never_published(sku: str) -> None:
    command = replace(receive(Slip("s1", AT), 1, "a", sku, 1), quantity=0)
    with pytest.raises(InventoryError, match="quantity can't be taken"):
        write_of(STOCK_COMMANDS, command, "/test")


async def test_topics_of_another_partition_count_are_refused(settings: Settings, sku: str) -> None:
    other = settings.model_copy(update={"sku_partitions": 3})
    async with own_writes(other, "/test") as own:
        with pytest.raises(Mismatch, match="partitions"):
            await own.publish([received(sku)])


async def test_without_a_broker_it_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        async with own_writes(away, "/test"):
            pass


async def test_a_sale_waits_for_the_stock_of_each_line(
    settings: Settings, fold: Fold, sku: str
) -> None:
    order_id = str(uuid4())
    basket = [BasketItem(sku, 1, Decimal(2)), BasketItem(f"{sku}-2", 1, Decimal(2))]
    write = write_of(ORDERS, sale(order_id, "a", basket, "EUR", now()), "/test")
    skus = [item.sku for item in basket]

    async def folds() -> None:
        at = fold.partition(ORDERS, order_id)
        before = await last_offset(settings, ORDERS, at)

        async def arrived() -> bool:
            return await last_offset(settings, ORDERS, at) > before

        await eventually(arrived)
        state = OrderState(
            order_id=order_id,
            status="done",
            version=1,
            occurred_at=AT,
            recorded_at=AT,
            cause={"orders": before + 1},
        )
        await fold.commit([(ORDER_STATES, state)])
        for number, one in enumerate(skus, start=1):
            for other in ("someone-else", order_id):
                facts = [movement("sell", other, number)]
                moves = StockMoved(id=str(uuid4()), occurred_at=AT, sku=one, movements=facts)
                await fold.commit([(STOCK_MOVEMENTS, moves)])

    complete = moved("sell", {1, 2})
    no_postgres = settings.model_copy(update={"postgres": SecretStr("")})
    effect, _ = await asyncio.gather(
        carry_out_order(no_postgres, write, skus, complete, LONG), folds()
    )
    assert effect.done
    assert not effect.repeated
    assert effect.states[order_id].status == "done"
    assert [(one, fact.line_no) for one, fact in effect.movements] == [(skus[0], 1), (skus[1], 2)]


async def test_without_folds_a_command_is_in_work(settings: Settings, sku: str) -> None:
    effect = await carry_out(settings, [received(sku)], SHORT)
    assert not effect.done
    assert not effect.repeated


async def test_the_newest_state_is_found_wherever_it_lies(
    settings: Settings, fold: Fold, sku: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "FIRST_WINDOW", 3)
    other = next(f"{sku}-{n}" for n in range(99) if fold.partition(STOCK_LEVELS, f"{sku}-{n}")
                 == fold.partition(STOCK_LEVELS, sku))  # fmt: skip
    await fold.commit([(STOCK_LEVELS, level(sku, "a", n, on_hand=n)) for n in range(3)])
    for n in range(30):
        await fold.commit([(STOCK_LEVELS, level(other, "a", n))], abort=n % 3 == 0)
    found = await read_state(settings, STOCK_LEVELS, f"{sku}|a")
    assert found.on_hand == 2
    assert await read_state(settings, STOCK_LEVELS, f"{sku}|b") is None


async def test_dead_letters_are_read_to_the_end_and_sent_again_once_mended(
    settings: Settings, fold: Fold, sku: str
) -> None:
    before = len(await read_letters(settings))
    write = received(sku)
    arrival = Arrival("stock-commands", 1, 4711, AT, "wrong key")
    await fold.commit(dead=[(arrival, Refused("wrong_key", "no"), write.value)])
    letter = (await read_letters(settings))[before]
    assert (letter.id, letter.key, letter.body) == (
        "stock-commands/1/4711",
        "wrong key",
        write.value,
    )
    again = retry_write(letter)
    async with published(settings, fold, again, LONG) as (own, _, offset):
        await fold.commit([(STOCK_LEVELS, level(sku, "a", offset))])
        assert await own.applied()
    await fold.commit(dead=[(arrival, Refused("x", "y"), b"")], abort=True)
    assert len(await read_letters(settings)) == before + 1
    assert DEAD_LETTERS.group == "other"


async def test_alerts_are_followed_from_now_on(settings: Settings, fold: Fold, sku: str) -> None:
    def change(number: int) -> AlertChanged:
        return AlertChanged(
            id=f"{sku}:{number}", occurred_at=AT, recorded_at=AT, sku=sku, location_id="a",
            alert_id="a1", what="raised", old_state="ok", state="low", level=number, raise_at=10,
            clear_at=13, threshold_source="default", since=AT, why="", version=number,
        )  # fmt: skip

    await fold.commit([(LOW_STOCK_ALERTS, change(1))])
    follower = changes(settings)
    first = asyncio.create_task(anext(follower))
    number = 2
    while not first.done():
        await fold.commit([(LOW_STOCK_ALERTS, change(number))])
        number += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(first), 0.2)
    seen = await first
    assert seen.level >= 2
    await follower.aclose()


async def stock_in_postgres(settings: Settings, sku: str) -> None:
    connection = await asyncpg.connect(settings.need("postgres"))
    await connection.execute(
        "INSERT INTO products (sku, name, price, currency, stocked, version, safety_stock) "
        "VALUES ($1, 'Green tea', 3.5, 'GBP', true, 1, 2)",
        sku,
    )
    for place, name in (("a", "Alpha"), ("b", None)):
        await connection.execute(
            "INSERT INTO locations (location_id, name, version) VALUES ($1, $2, $3) "
            "ON CONFLICT DO NOTHING",
            place, name, 1 if name else -1,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO inventory VALUES ($1, $2, $3, 2, 0, false, NULL, now(), now(), 5, '{}')",
            sku, place, 12 if name else 40,
        )  # fmt: skip
    for source, raise_at, until in (
        ("override", 20, now() + timedelta(days=1)),
        ("reorder-point", 30, None),
    ):
        await connection.execute(
            "INSERT INTO thresholds VALUES ($1, 'a', $2, $3, 50, NULL, $4, 'me', '', now(), "
            "now(), 1)",
            sku, source, raise_at, until,
        )  # fmt: skip
    await connection.close()


async def test_what_postgresql_says_of_stock(settings: Settings, sku: str) -> None:
    await stock_in_postgres(settings, sku)
    connection = await asyncpg.connect(settings.need("postgres"))
    rows = await connection.fetch(named_query("postgres", "shell_stock"), sku, 10, 13)
    await connection.close()
    assert [(row["location_id"], row["available"], row["raise_at"]) for row in rows] == [
        ("a", 8, 20),
        ("b", 36, 10),
    ]
    catalogue = await read_catalogue(settings, [sku])
    assert catalogue.products[sku].price == Decimal("3.5")
    assert catalogue.ship_from == ["b", "a"]
    assert catalogue.places == {"a": "Alpha"}
    assert await near_skus(settings, sku[:-1]) == [sku]


async def test_an_effect_is_waited_for_in_postgresql(settings: Settings, sku: str) -> None:
    await stock_in_postgres(settings, sku)
    connection = await asyncpg.connect(settings.need("postgres"))

    async def later() -> None:
        async with own_writes(settings, "/test", SHORT) as own:
            await own.publish([received(sku)])
            assert not await shown(settings, own, [("stock-levels", f"{sku}|a", 6)])
        await connection.execute("UPDATE inventory SET version = 6 WHERE sku = $1", sku)

    async with own_writes(settings, "/test", LONG) as own:
        await own.publish([received(sku)])
        awaited = [("stock-levels", f"{sku}|a", 6), ("stock-levels", f"{sku}|b", 5)]
        done, _ = await asyncio.gather(shown(settings, own, awaited), later())
        assert done
    await connection.close()


async def test_queries_only_read(settings: Settings) -> None:
    columns, rows = await ask_postgres(settings, "SELECT 1 AS one, NULL::text AS none")
    assert (columns, rows) == (["one", "none"], [(1, None)])
    assert (await ask_postgres(settings, "SELECT 1 AS one WHERE false"))[0] == ["one"]
    for wrong in (
        "DELETE FROM products RETURNING sku",
        "COPY (SELECT 1) TO '/tmp/never'",
        "SELECT 1; SELECT 2",
        "SELECT nothing",
        "SET default_transaction_read_only = off",
        "WITH gone AS (DELETE FROM products RETURNING sku) SELECT * FROM gone",
    ):
        with pytest.raises(InventoryError):
            await ask_postgres(settings, wrong)
