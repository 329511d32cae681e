"""The sources by name."""

from __future__ import annotations

from producers.importers import locations, online_retail, products, stock, superstore, suppliers
from producers.importers.source import Source
from runtime.errors import InventoryError

SOURCES: dict[str, Source] = {
    module.SOURCE.name: module.SOURCE
    for module in (online_retail, superstore, products, locations, stock, suppliers)
}


def source_named(name: str) -> Source:
    """Raises InventoryError that lists the sources where there is none of that name."""
    if name not in SOURCES:
        listed = "; ".join(f"{source.name}: {source.what}" for source in SOURCES.values())
        raise InventoryError(f"There is no source {name!r}.", remedy=f"Sources are {listed}.")
    return SOURCES[name]
