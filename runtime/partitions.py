"""Which partition a key belongs to: the one function that writers inside and outside share."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.topics import Topic


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: murmur2 of the part before `|`, as Java's clients hash it.

    Everything of a SKU shares a partition, whatever the place. Order ids hold no `|`.
    """
    hashed: int = murmur2(key.partition("|")[0].encode())
    return (hashed & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=200_000)
def cached_partition_of(key: str, partitions: int) -> int:
    """`partition_of` for keys that come again and again."""
    return partition_of(key, partitions)


def partition_count(topic: Topic, sku_partitions: int, order_partitions: int) -> int:
    """How many partitions the topic has, given the settings."""
    return {"sku": sku_partitions, "order": order_partitions, "other": 1}[topic.group]
