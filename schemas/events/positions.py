"""Where a fold stands: the record `@position|<partition>` in its ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

POSITION_PREFIX = "@position|"
"""Keys of ledger records that are no states start with this; readers pass over them. No state's
key does: SKUs are upper case, and order ids hold no bar."""


@dataclass(slots=True, kw_only=True)
class InputPosition:
    """topic_id: Kafka's id of the topic, which a re-created topic does not have.

    next: the first offset not yet folded into the ledger.
    """

    topic_id: str
    next: int


@dataclass(slots=True, kw_only=True)
class Position:
    """Input topic -> where the fold stands in it, for one partition number."""

    type: Literal["position"] = "position"
    partition: int
    inputs: dict[str, InputPosition] = field(default_factory=dict)


def position_key(partition: int) -> str:
    return f"{POSITION_PREFIX}{partition}"
