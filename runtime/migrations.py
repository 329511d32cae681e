"""Numbered SQL migrations: what there is, in order, each with a digest of what it said."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from runtime.errors import Mismatch

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `0001_what_it_does.sql`; never changed once released."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]


def load_migrations(package: str) -> list[Migration]:
    """The migrations in a package's folder `migrations`, in order.

    Raises Mismatch where a file has another form of name, or a number is missing or doubled.
    """
    found = []
    for file in resources.files(package).joinpath("migrations").iterdir():
        match = _NAME.match(file.name)
        if match is None:
            raise Mismatch(f"{file.name} is no migration: name it 0001_what_it_does.sql.")
        found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise Mismatch(f"The migrations of {package} are not numbered 1 to {len(found)}.")
    return found


def pending(migrations: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """What is still to be applied. `applied`: number -> digest, as the store remembers.

    Raises Mismatch where the store is newer than this program, or a file was changed since.
    """
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise Mismatch(
            f"The store has schema version {newest}, this program knows {len(migrations)}.",
            remedy="Use the newer program that made it.",
        )
    for migration in migrations[:newest]:
        if applied.get(migration.number) != migration.digest:
            raise Mismatch(
                f"{migration.name} was changed after it had been applied.",
                remedy="Undo the change and write a new migration instead.",
            )
    return migrations[newest:]
