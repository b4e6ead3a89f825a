"""Makes records that must not pass, each with the cause its dead letter has to name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from headgate_runtime.avro import Encoder

UNKNOWN_SCHEMA_ID = 999_999
Spoil = Callable[[Mapping[str, Any], Encoder], bytes]


def bad_magic(event: Mapping[str, Any], encoder: Encoder) -> bytes:
    """A good datum behind a frame that does not start with the magic byte."""
    return b"\x01" + encoder.encode(event)[1:]


def unknown_schema_id(event: Mapping[str, Any], encoder: Encoder) -> bytes:
    """A good datum framed with an id that no registry gave out."""
    return struct.pack(">bI", 0, UNKNOWN_SCHEMA_ID) + encoder.encode(event)[5:]


def truncated(event: Mapping[str, Any], encoder: Encoder) -> bytes:
    """A datum that ends in the middle of a field."""
    value = encoder.encode(event)
    return value[: len(value) // 2]


def trailing_bytes(event: Mapping[str, Any], encoder: Encoder) -> bytes:
    """A good datum with bytes behind its end."""
    return encoder.encode(event) + b"\x00\x00"


def unknown_type(event: Mapping[str, Any], encoder: Encoder) -> bytes:
    """Valid Avro whose event type the topic's rules do not list."""
    return encoder.encode({**event, "event_type": "teleport"})


POISON: Mapping[str, tuple[Spoil, str]] = {
    "bad magic": (bad_magic, "bad_magic"),
    "unknown schema id": (unknown_schema_id, "unknown_schema_id"),
    "truncated": (truncated, "undecodable"),
    "trailing bytes": (trailing_bytes, "trailing_bytes"),
    "contract break": (unknown_type, "contract_violation"),
}
