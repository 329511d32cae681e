"""Keys lie where Java's clients would put them, and what belongs together lies together."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2

from runtime.partitions import partition_of

# Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest.testMurmur2).
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), VECTORS.items())
def test_keys_hash_as_in_kafkas_java_clients(key: bytes, hashed: int) -> None:
    assert murmur2(key) & 0xFFFFFFFF == hashed & 0xFFFFFFFF


@pytest.mark.parametrize("partitions", [1, 4, 7, 48])
def test_all_places_of_a_sku_share_its_partition(partitions: int) -> None:
    alone = partition_of("TEA-250", partitions)
    assert {partition_of(f"TEA-250|{place}", partitions) for place in ("", "cairo-1", "ø")} == {
        alone
    }
    assert 0 <= alone < partitions
