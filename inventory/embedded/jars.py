"""Kafka's jars: fetched once, checked, and kept for every state folder.

They lie in the user's cache folder. A local Maven repository that has them already is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import InventoryError

KAFKA = "4.4.0"
# Without a binding of slf4j a start that fails says nothing.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
DOWNLOAD_BYTES = 46_000_000
HOST = "repo.maven.apache.org"

OnBytes = Callable[[int], None]


def jar_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "inventory-manager" / f"kafka-{KAFKA}"


def present() -> bool:
    """The folder appears whole or not at all."""
    return jar_folder().is_dir()


def kafka_jars() -> list[Path]:
    """The jars; raises InventoryError where they were never fetched."""
    if not present():
        raise InventoryError(
            "Kafka's jars have not been downloaded yet.", remedy="Run 'inventory up'."
        )
    return sorted(jar_folder().glob("*.jar"))


def fetch(on_bytes: OnBytes) -> None:
    """Get the jars; `on_bytes` hears of each piece that was downloaded.

    Raises InventoryError where neither a local repository nor the network has them.
    """
    folder = jar_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as work:
            jars = _intact(_from_local(Path(work) / "local"))
            jars = jars or _intact(_download(Path(work) / "remote", on_bytes))
            if not jars:
                raise InventoryError(
                    "Kafka's jars arrived damaged.", remedy="Run 'inventory up' again."
                )
            _keep(jars, Path(work) / "whole", folder)
    except OSError as error:
        if error.errno is None:  # the network's, not the disk's
            raise _offline(error) from error
        raise InventoryError(
            f"Kafka's jars cannot be stored in {folder.parent}: {error.strerror}.",
            remedy="Free some space, or point XDG_CACHE_HOME at another folder.",
        ) from error


def _from_local(work: Path) -> list[Path]:
    try:
        return _resolve(work, local=True)
    except (RuntimeError, OSError):
        return []  # not there, or not all of them


def _download(work: Path, on_bytes: OnBytes) -> list[Path]:
    try:
        return _resolve(work, on_bytes)
    except RuntimeError as error:
        raise _offline(error) from error


def _resolve(work: Path, on_bytes: OnBytes = lambda _: None, local: bool = False) -> list[Path]:
    # Imported late: it takes 0.2 s, and only the first start needs it.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[OnBytes]:
        yield on_bytes

    context = MavenContext(
        repo_cache=GlobalSettings.load().repo_cache if local else work / "repository",
        resolver=PythonResolver(progress_callback=progress),
        offline=local,
    )
    builder = EnvironmentBuilder(context=context, cache_dir=work)
    return [Path(jar) for jar in builder.from_endpoint(COORDINATES).all_jars]


def _intact(jars: list[Path]) -> list[Path]:
    """The jars, or none where one is damaged: a download that was cut off leaves a part."""
    try:
        for jar in jars:
            with zipfile.ZipFile(jar) as archive:
                if archive.testzip() is not None:
                    return []
    except (OSError, zipfile.BadZipFile):
        return []
    return jars


def _keep(jars: list[Path], whole: Path, folder: Path) -> None:
    whole.mkdir()
    for jar in jars:
        shutil.copyfile(jar, whole / jar.name)
    try:
        whole.rename(folder)
    except OSError:
        if not present():  # else another start was faster
            raise


def _offline(error: BaseException) -> InventoryError:
    # What the network library says of a lost connection fills a screen.
    why = "Maven Central cannot be reached" if isinstance(error, OSError) else str(error)
    return InventoryError(
        f"Kafka's jars could not be downloaded: {why}.",
        remedy=f"Check the network and run 'inventory up' again; {DOWNLOAD_BYTES // 1_000_000} MB "
        "are fetched once.",
    )
