"""docker-compose.yml as Compose reads it: anchors merged, `${NAME:-default}` filled in."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def services(environment: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """The services by name; variables come from `environment`, else they have their default."""
    document = _filled(compose_document(), environment or {})
    return dict(document["services"])


def compose_document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return document


def variables() -> set[str]:
    """The names that may be set from outside."""
    return {name for name, _ in _VARIABLE.findall((ROOT / "docker-compose.yml").read_text("utf-8"))}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _filled(value: Any, environment: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, environment) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, environment) for part in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: environment.get(found[1]) or found[2], value)
    return value
