"""Rows out of quarantine, corrected or tried again: they go the same way as any row of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import pandas as pd

from producers.importers.backlog import readers
from producers.importers.checking import Checker, Fault
from producers.importers.pipeline import Options
from producers.importers.publishing import (
    KafkaOutbox,
    learn_catalog,
    publish_catalog,
    publish_rechecks,
    to_message,
    wait_for_levels,
    wait_for_products,
)
from producers.importers.quarantine import Held, Quarantine
from producers.importers.source import Source, Variant, objects
from producers.importers.sources import source_named
from producers.importers.spool import Spool, open_spool
from runtime.clock import Clock
from runtime.errors import InventoryError
from runtime.kafka import publisher
from runtime.settings import Settings


@dataclass(slots=True)
class Retried:
    """published: quarantine numbers that are events now. faults: what is still wrong."""

    published: list[int] = field(default_factory=list)
    faults: dict[int, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def correct(held: Held, corrections: Mapping[str, str], columns: Sequence[str]) -> Held:
    """The row with other cells. Raises InventoryError for a column that the source has not."""
    for name in corrections:
        if name not in columns:
            raise InventoryError(
                f"{held.source} has no column {name!r}.",
                remedy=f"Its columns are {', '.join(columns)}.",
            )
    return replace(held, cells={**held.cells, **corrections})


async def retry(
    settings: Settings,
    quarantine: Quarantine,
    rows: Sequence[Held],
    clock: Clock,
    options: Options | None = None,
) -> Retried:
    """Publish what is right now; what is not stays, with its faults of today.

    A row of a history becomes an order of its own (`536365-q17`: the row's number), because the
    rest of its order is published already and orders do not change.
    """
    result = Retried()
    by_form = groupby(
        sorted(rows, key=lambda row: (row.source, row.variant)),
        key=lambda row: (row.source, row.variant),
    )
    for (name, variant_name), members in by_form:
        source = source_named(name)
        form = _Form(settings, source, source.variant(variant_name), clock, result)
        await form.retry(quarantine, list(members), options or Options())
    return result


@dataclass(slots=True)
class _Form:
    settings: Settings
    source: Source
    variant: Variant
    clock: Clock
    result: Retried

    async def retry(self, quarantine: Quarantine, rows: Sequence[Held], options: Options) -> None:
        by_id = {row.id: row for row in rows}
        clean, faults, _ = Checker(self.variant.columns).check(self._frame(rows))
        for row_id, found in faults.items():
            quarantine.correct(by_id[row_id], by_id[row_id].cells, found)
            self.result.faults[row_id] = [str(fault) for fault in found]
        clean = clean.drop(index=list(faults))
        if clean.empty:
            return
        placed = self.variant.place(clean)
        suffixes = objects([f"-q{by_id[row_id].row_no}" for row_id in clean.index])
        with open_spool(self.variant.columns) as spool:
            spool.add(clean, placed._replace(group_key=placed.group_key + suffixes))
            await self._publish(quarantine, by_id, spool, options)

    def _frame(self, rows: Sequence[Held]) -> pd.DataFrame:
        cells = {
            column.name: [row.cells.get(column.name, "") for row in rows]
            for column in self.variant.columns
        }
        return pd.DataFrame(cells, index=[row.id for row in rows], dtype=object)

    async def _publish(
        self, quarantine: Quarantine, by_id: dict[int, Held], spool: Spool, options: Options
    ) -> None:
        history = self.source.history
        published: list[int] = []
        async with (
            publisher(self.settings, f"/importer/{self.source.name}") as sender,
            readers(self.settings) as followers,
        ):
            outbox = KafkaOutbox(self.settings, sender)
            spool.arrange()
            if history:
                await learn_catalog(self.settings, spool)
                self.source.resolve(spool.db)
                await publish_catalog(outbox, spool, self.source)
                self._warn(await wait_for_products(followers, options.stall_seconds))
            now = self.clock()
            for _key, rows in spool.groups():
                ids = [row["row_no"] for row in rows]
                try:
                    messages = [
                        to_message(out, self.source.name) for out in self.variant.events(rows, now)
                    ]
                except ValueError as error:
                    for row_id in ids:
                        fault = Fault("", str(error))
                        quarantine.correct(by_id[row_id], by_id[row_id].cells, [fault])
                        self.result.faults[row_id] = [str(fault)]
                    continue
                await outbox.send(messages)
                published += ids
            await outbox.flush()
            quarantine.release(published, now)
            self.result.published += published
            if history and published:
                self._warn(await wait_for_levels(followers, options.stall_seconds))
                first = min(published)
                import_id = f"{by_id[first].import_id}-q{by_id[first].row_no}"
                await publish_rechecks(outbox, spool, self.source, import_id, now)

    def _warn(self, sentence: str) -> None:
        if sentence and sentence not in self.result.warnings:
            self.result.warnings.append(sentence)
