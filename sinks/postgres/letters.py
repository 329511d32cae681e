"""Dead letters as rows: what was refused, by whom ever, so that people can list it."""

from __future__ import annotations

from datetime import datetime

from runtime.clock import from_millis
from sinks.postgres.batch import Record
from sinks.postgres.rows import as_json
from sinks.postgres.tables import DeadLetterRow


def dead_letter(record: Record) -> DeadLetterRow:
    """A letter by the place of the record it is about; one without headers is about itself."""
    found: dict[str, bytes] = {}
    own = []
    for name, value in record.headers:
        if name.startswith("dl_") and name not in found:
            found[name] = value
        else:
            own.append([name, _text(value)])
    said = {name: _text(value) for name, value in found.items()}
    recorded_at = from_millis(record.timestamp)
    try:
        place = (said["dl_topic"], int(said["dl_partition"]), int(said["dl_offset"]))
        original_at = datetime.fromisoformat(said["dl_recorded_at"])
    except (KeyError, ValueError):
        place, original_at = (record.topic, record.partition, record.offset), recorded_at
    return DeadLetterRow(
        *place,
        said.get("dl_reason", "unknown"),
        said.get("dl_field", ""),
        said.get("dl_detail", ""),
        record.key,
        record.value,
        as_json(own),
        original_at,
        record.partition,
        record.offset,
        recorded_at,
    )


def _text(value: bytes | None) -> str:
    """Bytes for people to read: PostgreSQL's text holds no NUL."""
    return (value or b"").decode(errors="replace").replace("\x00", "\ufffd")
