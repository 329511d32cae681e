"""Unpacks request bodies. A body may hold several frames: all of them count, and none cut off.

clickhouse-connect sends each block of an insert as an LZ4 frame of its own. Whoever unpacks only
the first stores a part of the rows and says nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import lz4.frame
import zstandard


class BadBody(ValueError):
    """The body can't be unpacked."""


def unpack(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding; raises BadBody where it is cut off or unknown."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    new_frame = _FRAMES.get(encoding)
    if new_frame is None:
        raise BadBody(f"Content-Encoding {encoding!r} is not known here: use lz4, zstd or gzip")
    parts = []
    while body:
        frame = new_frame()
        try:
            parts.append(frame.decompress(body))
        except (RuntimeError, zlib.error, zstandard.ZstdError) as error:
            raise BadBody(f"the {encoding} body is damaged: {error}") from error
        if not frame.eof:
            raise BadBody(f"the {encoding} body is cut off")
        body = frame.unused_data or b""
    return b"".join(parts)


_FRAMES: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "deflate": zlib.decompressobj,
}
