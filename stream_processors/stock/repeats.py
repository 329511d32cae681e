"""Outside commands that come twice: the newest ids of a SKU, as hashes in a ring of records.

One record is written for each command, so they are small: a single one with all ids would
have 11 kB. The ring has one slot more than it needs, so that the newest 1,000 are always there.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b

from schemas.events.stock import SeenCommands
from stream_processors.stock.step import Step

REMEMBERED = 1_000
"""Newest outside commands of a SKU that are recognised, at least."""
PER_SLOT = 100
SLOTS = REMEMBERED // PER_SLOT + 1


def code_of(command_id: str) -> str:
    """A 64-bit hash in 11 characters."""
    return urlsafe_b64encode(blake2b(command_id.encode(), digest_size=8).digest())[:11].decode()


def is_repeated(step: Step, command_id: str) -> bool:
    """Whether an outside command was here before; notes it either way."""
    code, count = code_of(command_id), step.sku_state.outside
    for slot in range(min(count // PER_SLOT + 1, SLOTS)):
        seen: SeenCommands | None = step.state(_key(step.sku, slot))
        # A hit across two codes is as unlikely as two ids with one hash.
        if seen is not None and code in seen.ids:
            # Only the cause changes: whoever published it sees that it was handled.
            step.keep()
            return True
    slot = count // PER_SLOT % SLOTS
    older = step.state(_key(step.sku, slot)).ids if count % PER_SLOT else ""
    step.put(SeenCommands(sku=step.sku, slot=slot, ids=older + code))
    step.keep(outside=count + 1)
    return False


def _key(sku: str, slot: int) -> str:
    return f"{sku}|#{slot}|"
