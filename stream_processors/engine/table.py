"""A Faust table whose changelog is the fold's ledger, written by the fold's transaction."""

from __future__ import annotations

from typing import Any, cast

from faust.tables.manager import TableManager
from faust.tables.table import Table


class FoldTable(Table[str, Any]):
    """Setting a key marks it dirty instead of sending a changelog record.

    Keys belong to a partition number: the one folded when they were set first. `begin` opens a
    step; until `accept` the values before it are kept, so that `undo` takes the step back.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._states: dict[str, Any] = cast(dict[str, Any], self.data.data)
        self._keys: dict[int, set[str]] = {}
        self._partition = -1
        self.before: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self._states.get(key, default)

    def on_key_get(self, key: str) -> None:
        """Nothing to do: reading costs nothing."""

    def on_key_set(self, key: str, value: Any) -> None:
        if key not in self.before:
            self.before[key] = self._states.get(key)

    def on_key_del(self, key: str) -> None:
        raise NotImplementedError("rules write states; none of ours deletes a key")

    def begin(self, partition: int) -> None:
        """A step of one partition begins; steps never overlap, as they don't await."""
        self._partition = partition
        self.before = {}

    def undo(self) -> None:
        """Take back what was set since `begin`."""
        for key, value in self.before.items():
            if value is None:
                self._states.pop(key, None)
            else:
                self._states[key] = value
        self.before = {}

    def dirty(self) -> dict[str, Any]:
        """The keys set since `begin`, with their new states."""
        return {key: self._states[key] for key in self.before}

    def accept(self) -> None:
        """The step stands."""
        self._keys.setdefault(self._partition, set()).update(self.before)
        self.before = {}

    def load(self, partition: int, states: dict[str, Any]) -> None:
        """Take over states from the ledger; None removes."""
        keys = self._keys.setdefault(partition, set())
        for key, state in states.items():
            if state is None:
                self._states.pop(key, None)
                keys.discard(key)
            else:
                self._states[key] = state
                keys.add(key)

    def drop(self, partition: int) -> None:
        """Forget a partition that others own now."""
        for key in self._keys.pop(partition, set()):
            self._states.pop(key, None)

    def of(self, partition: int) -> dict[str, Any]:
        """All states of a partition."""
        return {key: self._states[key] for key in self._keys.get(partition, ())}


class NoChangelogs(TableManager):
    """Gives Faust no table to recover: the fold restores its own in bulk."""

    def add(self, table: Any) -> Any:
        return table
