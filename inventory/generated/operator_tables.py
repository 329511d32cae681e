"""The tables in `docs/operations.md` that the code knows best: settings, workers, metrics."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

import runtime.health
from inventory.generated.topics_page import table
from inventory.workers import WORKERS
from runtime.errors import Mismatch
from runtime.settings import PREFIX, Settings


def filled(page: str) -> str:
    """The page with each table made anew between its marks; Mismatch where a mark is missing."""
    for name, text in (
        ("settings", settings_table()),
        ("workers", workers_table()),
        ("metrics", metrics_table()),
    ):
        marks = re.compile(
            rf"(?<=<!-- {name}: made by inventory.generate -->\n).*?(?=<!-- {name}: end -->)",
            re.DOTALL,
        )
        if not marks.search(page):
            raise Mismatch(f"docs/operations.md has lost the marks around its {name} table.")
        page = marks.sub(lambda _old, new=text: new, page)  # type: ignore[misc]
    return page


def settings_table() -> str:
    rows: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        secret = isinstance(default, SecretStr)
        shown = "" if secret or default in ("", None) else f"`{default}`"
        rows.append((f"`{PREFIX}{name.upper()}`", field.description or "", _values(field), shown))
    return table(("setting", "meaning", "values", "default"), rows)


def workers_table() -> str:
    rows = [(f"`inventory run {worker.name}`", worker.what) for worker in WORKERS]
    return table(("worker", "what it does"), rows)


def metrics_table() -> str:
    found = [m for m in vars(runtime.health).values() if isinstance(m, MetricWrapperBase)]
    rows = [
        (
            f"`{metric._name}{'_total' if metric._type == 'counter' else ''}`",
            str(metric._type),
            ", ".join(metric._labelnames),
            metric._documentation,
        )
        for metric in found
    ]
    return table(("metric", "kind", "labels", "meaning"), rows)


def _values(field: Any) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation is SecretStr:
        return "secret"
    limits = {type(limit).__name__: limit for limit in field.metadata}
    least, most = limits.get("Ge"), limits.get("Le")
    if least is not None and most is not None:
        return f"{least.ge} to {most.le}"
    return f"at least {least.ge}" if least is not None else ""
