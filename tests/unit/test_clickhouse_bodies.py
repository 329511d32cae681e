"""Bodies of several frames: a client sends each block as a frame of its own."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from inventory.embedded.clickhouse_bodies import BadBody, unpack

PACK: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
each = pytest.mark.parametrize("encoding", PACK)


@each
def test_every_frame_counts(encoding: str) -> None:
    parts = [b"first " * 5000, b"second", b"", b"third"]
    body = b"".join(PACK[encoding](part) for part in parts)
    assert unpack(body, encoding) == b"".join(parts)


@each
@pytest.mark.parametrize("frames", [1, 2])
def test_a_body_that_is_cut_off_is_refused(encoding: str, frames: int) -> None:
    body = PACK[encoding](b"first") * (frames - 1) + PACK[encoding](b"a part is missing" * 100)
    for end in range(len(body) - 1, len(body) - 12, -1):
        with pytest.raises(BadBody):
            unpack(body[:end], encoding)


@each
def test_what_follows_the_last_frame_must_be_a_frame(encoding: str) -> None:
    with pytest.raises(BadBody):
        unpack(PACK[encoding](b"fine") + b"no frame at all, but rather long", encoding)


def test_plain_bodies_stay_and_unknown_encodings_are_refused() -> None:
    assert unpack(b"SELECT 1", "") == unpack(b"SELECT 1", "identity") == b"SELECT 1"
    with pytest.raises(BadBody, match="br"):
        unpack(b"SELECT 1", "br")
