"""Events from and to bytes: pydantic checks what comes in, msgspec writes what goes out.

A record that does not decode raises `Refused`, which becomes a dead letter; it never ends a
worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Union

import msgspec
from pydantic import Field, TypeAdapter, ValidationError

from runtime.partitions import cached_partition_of
from schemas.arrivals import Arrival, Refused
from schemas.topics import Topic, key_of

Headers = list[tuple[str, bytes]]

_encoder = msgspec.json.Encoder(decimal_format="string")
encode = _encoder.encode
"""Any event or state as JSON bytes: times in UTC, money as strings."""


@cache
def adapter(topic: Topic) -> TypeAdapter[Any]:
    """pydantic's validator for the bodies of a topic."""
    if len(topic.models) == 1:
        return TypeAdapter(topic.models[0])
    union: Any = Union[topic.models]  # noqa: UP007 - built at run time
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


class _Tagged(msgspec.Struct):
    type: str


_decode_tag = msgspec.json.Decoder(_Tagged).decode


@cache
def _fast_decoders(topic: Topic) -> dict[str, msgspec.json.Decoder[Any]] | None:
    """For what our folds wrote, msgspec's faster checks will do; None for what others write."""
    if not topic.ours:
        return None
    return {
        model.__dataclass_fields__["type"].default: msgspec.json.Decoder(model)
        for model in topic.models
    }


def _decode_ours(topic: Topic, decoders: dict[str, msgspec.json.Decoder[Any]], value: bytes) -> Any:
    try:
        if len(decoders) == 1:
            (decoder,) = decoders.values()
        else:
            decoder = decoders[_decode_tag(value).type]
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise Refused("invalid", str(error)) from error
    except msgspec.DecodeError as error:
        raise Refused("not_json", str(error)) from error
    except KeyError as error:
        raise Refused("invalid", f"no type {error} on {topic.name}", "type") from error


def decode_state(ledger: Topic, value: bytes) -> Any:
    """A state from a ledger. Raises Refused (`not_json`, `invalid`) where it is none."""
    decoders = _fast_decoders(ledger)
    assert decoders is not None
    return _decode_ours(ledger, decoders, value)


def decode(topic: Topic, key: bytes | None, value: bytes | None) -> Any:
    """The event in a record's body; None for a null body on a compacted topic (a deletion).

    Raises Refused (`null_body`, `not_json`, `invalid`, `wrong_key`) with the field at fault.
    """
    if value is None:
        if topic.keep:
            raise Refused("null_body", f"a record on {topic.name} has a body")
        return None
    decoders = _fast_decoders(topic)
    if decoders is not None:
        event = _decode_ours(topic, decoders, value)
    else:
        try:
            event = adapter(topic).validate_json(value, strict=True)
        except ValidationError as error:
            raise _refusal(error) from error
    if not topic.ledger and (key is None or key != key_of(topic, event).encode()):
        raise Refused(
            "wrong_key",
            f"the key is {key!r}, the body belongs to {key_of(topic, event)!r}",
            "+".join(topic.key),
        )
    return event


def check_partition(key: str, partition: int, partitions: int) -> None:
    """Raises Refused (`wrong_partition`) where a record lies in another's partition."""
    expected = cached_partition_of(key, partitions)
    if expected != partition:
        raise Refused(
            "wrong_partition",
            f"key {key!r} belongs in partition {expected} of {partitions}, not {partition}; "
            "a retry puts it there",
        )


def _refusal(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return Refused("not_json", first["msg"])
    field = ".".join(str(part) for part in first["loc"])
    more = error.error_count() - 1
    return Refused("invalid", first["msg"] + (f" (and {more} more)" if more else ""), field)


_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")


@cache
def _fixed_headers(event_type: str, source: str) -> tuple[tuple[str, bytes], ...]:
    return (
        _SPEC_VERSION,
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        _CONTENT_TYPE,
    )


def event_headers(event: Any, source: str) -> Headers:
    """CloudEvents 1.0 headers (binary mode): written always, required never."""
    return [("ce_id", event.id.encode()), *_fixed_headers(event.type, source)]


def dead_letter_headers(
    arrival: Arrival, refused: Refused, headers: Sequence[tuple[str, bytes]] = ()
) -> Headers:
    """What stands beside a dead letter's original bytes."""
    return [
        ("dl_topic", arrival.topic.encode()),
        ("dl_partition", str(arrival.partition).encode()),
        ("dl_offset", str(arrival.offset).encode()),
        ("dl_recorded_at", arrival.recorded_at.isoformat().encode()),
        ("dl_reason", refused.reason.encode()),
        ("dl_field", refused.field.encode()),
        ("dl_detail", refused.detail.encode()[:2000]),
        *headers,
    ]
