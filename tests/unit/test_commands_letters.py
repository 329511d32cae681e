"""Dead letters: read back, judged, and made ready to be sent again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from inventory.commands.letters import RETRY_HEADER, Letter, letter_of, retry_write, still_open
from producers.stockroom import Slip, receive
from runtime.codec import dead_letter_headers, encode, event_headers
from runtime.errors import InventoryError
from schemas.arrivals import Arrival, Refused

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
EVENT = receive(Slip("s1", AT), 1, "cairo-1", "TEA", 3)


def letter(
    body: bytes | None,
    topic: str = "stock-commands",
    offset: int = 17,
    headers: list[tuple[str, bytes]] | None = None,
) -> Letter:
    arrival = Arrival(topic, 2, offset, AT)
    refused = Refused("wrong_partition", "key 'TEA' belongs elsewhere", "sku")
    return letter_of(b"tea", body, dead_letter_headers(arrival, refused, headers or []))


def test_a_letter_says_where_it_stood_and_why_it_was_refused() -> None:
    one = letter(b"{}", headers=[("ce_id", b"x")])
    assert (one.id, one.topic, one.key) == ("stock-commands/2/17", "stock-commands", "tea")
    assert (one.reason, one.field) == ("wrong_partition", "sku")
    assert one.headers == [("ce_id", b"x")]


def test_what_the_record_said_of_itself_does_not_hide_the_fold_s_words() -> None:
    forged = letter(b"{}", headers=[("dl_topic", b"orders"), ("dl_reason", b"none")])
    assert (forged.topic, forged.reason) == ("stock-commands", "wrong_partition")


def test_a_retry_carries_the_original_bytes_under_the_body_s_own_key() -> None:
    body = json.dumps(json.loads(encode(EVENT)), indent=1).encode()
    write = retry_write(letter(body, headers=event_headers(EVENT, "/till")))
    assert (write.key, write.value, write.states) == ("TEA", body, ("TEA|cairo-1",))
    assert ("ce_source", b"/till") in write.headers
    assert write.headers[-1] == (RETRY_HEADER, b"stock-commands/2/17")
    assert not any(name.startswith("dl_") for name, _ in write.headers)


@pytest.mark.parametrize("body", [None, b"", b"nonsense", b"{}", encode(EVENT)[:-2], b"\xff\xfe"])
def test_what_would_be_refused_again_is_not_sent(body: bytes | None) -> None:
    with pytest.raises(InventoryError, match="refused again") as raised:
        retry_write(letter(body))
    assert "--body" in raised.value.remedy


def test_a_mended_body_takes_its_place() -> None:
    assert retry_write(letter(b"nonsense"), encode(EVENT)).value == encode(EVENT)


@pytest.mark.parametrize("topic", ["elsewhere", "dead-letters"])
def test_a_letter_from_a_strange_topic_is_not_sent(topic: str) -> None:
    with pytest.raises(InventoryError, match="no topic of this system"):
        retry_write(letter(encode(EVENT), topic=topic))


def test_a_failed_retry_replaces_what_it_retried() -> None:
    first = letter(encode(EVENT))
    again = letter(encode(EVENT), offset=90, headers=retry_write(first).headers)
    third = letter(encode(EVENT), offset=99, headers=retry_write(again).headers)
    other = letter(encode(EVENT), offset=18)
    assert still_open([first, other, again, third]) == [other, third]
