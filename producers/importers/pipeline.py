"""One import from file to report: read, clean, check, spool, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Literal

from producers.importers.backlog import read_imports, readers
from producers.importers.checking import BadRow, Fault, FileChecker
from producers.importers.publishing import (
    KafkaOutbox,
    Outbox,
    learn_catalog,
    publish_catalog,
    publish_opening,
    publish_rechecks,
    received_before,
    to_message,
    wait_for_levels,
    wait_for_products,
)
from producers.importers.quarantine import Quarantine, open_quarantine
from producers.importers.reading import Layout, find_layout, raw_line, read_rows, survey_file
from producers.importers.report import Report
from producers.importers.source import Row, Source
from producers.importers.spool import Spool, open_spool
from runtime.clock import Clock
from runtime.errors import InventoryError
from runtime.kafka import publisher
from runtime.settings import Settings
from runtime.topic_admin import describe_topics
from schemas.events.imports import ImportProgress
from schemas.topics import (
    ALERT_COMMANDS,
    CUSTOMERS,
    IMPORTS,
    LOCATIONS,
    ORDERS,
    PRODUCTS,
    STOCK_COMMANDS,
    SUPPLIERS,
)

WRITTEN = (
    PRODUCTS,
    LOCATIONS,
    SUPPLIERS,
    CUSTOMERS,
    ORDERS,
    STOCK_COMMANDS,
    ALERT_COMMANDS,
    IMPORTS,
)
CHUNK_ROWS = 20_000
PROGRESS_SECONDS = 1.0
OpeningStock = Literal["fit", "none"]
OnProgress = Callable[[str, int, int | None], None]
"""Told the stage, how many rows or orders are done, and of how many (None: not known)."""


@dataclass(frozen=True, slots=True)
class Options:
    """dry_run: everything but publishing and quarantine; needs no Kafka.

    opening_stock: `fit` first receives the least that keeps a history's levels from going below
        zero; `none` takes the history as it is.
    stall_seconds: how long to wait for a worker that stands still.
    """

    dry_run: bool = False
    opening_stock: OpeningStock = "fit"
    stall_seconds: float = 30.0


def silent(_stage: str, _done: int, _total: int | None) -> None:
    """For callers that show no progress."""


async def run_import(
    settings: Settings,
    source: Source,
    path: Path,
    clock: Clock,
    options: Options | None = None,
    on_progress: OnProgress = silent,
) -> Report:
    """Import a file. A run that was killed goes on where its progress on `imports` ends.

    Raises InventoryError where the file as a whole cannot be used, or a server is away.
    """
    options = options or Options()
    started = time.monotonic()
    layout = find_layout(survey_file(path), source)
    report = _new_report(source, layout, options)
    if not options.dry_run:
        await describe_topics(settings, WRITTEN)
    imports = {} if options.dry_run else await read_imports(settings)
    siblings = [known for known in imports.values() if known.source == source.name]
    earlier = imports.get(report.import_id)
    if earlier is not None and _stands(earlier, siblings, source):
        report.of_earlier_run(earlier)
        report.seconds = time.monotonic() - started
        return report
    if earlier is not None and earlier.status == "running":
        report.cursor = earlier.cursor
    holding = nullcontext() if options.dry_run else open_quarantine(settings.state_dir)
    with open_spool(layout.variant.columns) as spool, holding as quarantine:
        run = _Run(settings, source, layout, spool, quarantine, report, clock, on_progress, started)
        run.load()
        if options.dry_run:
            await run.rehearse(options)
        else:
            await run.publish(options, again=bool(siblings))
    return report


def _stands(earlier: ImportProgress, siblings: list[ImportProgress], source: Source) -> bool:
    """Is what the earlier run published still all that there is to publish?"""
    overtaken = any(other.occurred_at > earlier.occurred_at for other in siblings)
    return earlier.status == "done" and not (source.latest_wins and overtaken)


def _new_report(source: Source, layout: Layout, options: Options) -> Report:
    identity = [source.name, layout.survey.digest]
    if source.history:
        identity.append(options.opening_stock)
    hashed = sha256("\x1f".join(identity).encode()).hexdigest()
    name = layout.survey.path.name
    return Report(
        import_id=f"{source.name}-{hashed[:16]}",
        source=source.name,
        file=name if name.isprintable() else ascii(name),
        variant=layout.variant.name,
        encoding=layout.survey.encoding,
        delimiter=layout.delimiter,
        dry_run=options.dry_run,
    )


@dataclass(slots=True)
class _Run:
    settings: Settings
    source: Source
    layout: Layout
    spool: Spool
    quarantine: Quarantine | None
    report: Report
    clock: Clock
    on_progress: OnProgress
    started: float
    said_at: float = 0.0

    def load(self) -> None:
        """Read the file into the spool. Raises InventoryError where it holds no rows."""
        path = self.layout.survey.path
        before = path.stat()
        checker = FileChecker(self.layout)
        raw_rows = read_rows(self.layout)
        with self.stage("read"):
            while chunk := list(islice(raw_rows, CHUNK_ROWS)):
                checked = checker.check(chunk)
                self.spool.add(checked.rows, self.layout.variant.place(checked.rows))
                self.report.rows_read += len(chunk)
                self.report.cleaned.update(checked.cleaned)
                self.put_aside(checked.bad)
                self.on_progress("reading rows", self.report.rows_read, None)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise InventoryError(
                f"{path} was written to while it was read.",
                remedy="Import it when the export has ended.",
            )
        if self.report.rows_read == 0:
            raise InventoryError(
                f"{path} has a header but no rows.", remedy="Give a file with rows."
            )

    def put_aside(self, rows: list[BadRow]) -> None:
        self.report.put_aside(rows)
        if rows and self.quarantine is not None:
            self.quarantine.add(
                rows,
                import_id=self.report.import_id,
                source=self.source.name,
                variant=self.layout.variant.name,
                file=self.report.file,
                at=self.clock(),
            )

    async def rehearse(self, options: Options) -> None:
        """Make every event and publish none."""
        outbox = Outbox()
        with self.stage("publish"):
            total = self.spool.arrange()
            self.source.resolve(self.spool.db)
            await publish_catalog(outbox, self.spool, self.source)
            if self.source.history and options.opening_stock == "fit":
                await publish_opening(outbox, self.spool, self.source, {})
            await self._send_groups(outbox, total)
            if self.source.history:
                await publish_rechecks(
                    outbox, self.spool, self.source, self.report.import_id, self.clock()
                )
        self._finish(outbox)

    async def publish(self, options: Options, *, again: bool) -> None:
        """Catalogue, opening stock, history, rechecks: in this order, each durable before."""
        history = self.source.history
        async with (
            publisher(self.settings, f"/importer/{self.source.name}", linger_ms=5) as sender,
            readers(self.settings) as followers,
        ):
            outbox = KafkaOutbox(self.settings, sender)
            with self.stage("publish"):
                total = self.spool.arrange()
                await self._say(outbox)
                if history:
                    await learn_catalog(self.settings, self.spool)
                    self.source.resolve(self.spool.db)
                    await publish_catalog(outbox, self.spool, self.source)
                    self._warn(await wait_for_products(followers, options.stall_seconds))
                if history and options.opening_stock == "fit":
                    received = (
                        await received_before(self.settings, self.source.name) if again else {}
                    )
                    await publish_opening(outbox, self.spool, self.source, received)
                await self._send_groups(outbox, total)
            if history:
                with self.stage("follow"):
                    self.on_progress("waiting for the workers", 0, None)
                    self._warn(await wait_for_levels(followers, options.stall_seconds))
                    await publish_rechecks(
                        outbox, self.spool, self.source, self.report.import_id, self.clock()
                    )
            self._finish(outbox)
            await self._say(outbox)

    async def _send_groups(self, outbox: Outbox, total: int) -> None:
        done_before, now = self.report.cursor, self.clock()
        events = self.layout.variant.events
        for number, (_key, rows) in enumerate(self.spool.groups(), start=1):
            try:
                messages = [to_message(out, self.source.name) for out in events(rows, now)]
            except ValueError as error:
                self.put_aside(refused_rows(rows, self.layout, str(error)))
                continue
            if number <= done_before:
                self.report.skipped_rows += len(rows)
                continue
            self.report.published_rows += len(rows)
            await outbox.send(messages)
            if outbox.is_full:
                await outbox.flush()
                self.report.cursor = number
                self.on_progress("publishing", number, total)
                if time.monotonic() - self.said_at >= PROGRESS_SECONDS:
                    await self._say(outbox)
        await outbox.flush()
        self.report.cursor = total
        self.on_progress("publishing", total, total)

    async def _say(self, outbox: Outbox) -> None:
        """Tell `imports` how far this run is; what it names as done is durable."""
        self.report.published = outbox.sent
        self.report.seconds = time.monotonic() - self.started
        await outbox.tell(IMPORTS, self.report.progress(self.clock()))
        self.said_at = time.monotonic()

    def _warn(self, sentence: str) -> None:
        if sentence:
            self.report.warnings.append(sentence)

    def _finish(self, outbox: Outbox) -> None:
        self.report.status = "done" if self.report.usable else "failed"
        self.report.published = outbox.sent
        self.report.seconds = time.monotonic() - self.started

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the seconds of a stage for the report."""
        began = time.monotonic()
        yield
        self.report.stages[name] = round(time.monotonic() - began, 3)


def refused_rows(rows: Sequence[Row], layout: Layout, reason: str) -> list[BadRow]:
    """The rows of a group whose events cannot be made."""
    names = [column.name for column in layout.variant.columns]
    return [
        BadRow(
            row["row_no"],
            (Fault("", reason),),
            {name: row[name] for name in names},
            raw_line([row[name] for name in names], layout.delimiter),
        )
        for row in rows
    ]
