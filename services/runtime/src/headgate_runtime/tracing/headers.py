"""W3C trace context in record headers; no OpenTelemetry, so that it costs nothing where no spans are recorded."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headgate_runtime.records import Headers

TRACEPARENT: Final = "traceparent"
EVENT_ID: Final = "event-id"

# Version ff is forbidden, and ids of zeros are invalid: https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL
)
_FLAG: Final = 54  # index of the last digit of the flags, whatever the version
_SAMPLED: Final = frozenset(b"13579bdf")


def find_traceparent(headers: Headers) -> bytes | None:
    """Return the first traceparent header; None where it is absent or invalid."""
    for name, value in headers:
        if name == TRACEPARENT:
            return value if value is not None and _trace_id(value) else None
    return None


def parse_traceparent(headers: Headers) -> str | None:
    """Return the trace id (32 hexadecimal digits) of the first traceparent header; None where absent or invalid."""
    for name, value in headers:
        if name == TRACEPARENT:
            return _trace_id(value or b"")
    return None


def new_traceparent() -> bytes:
    """Make the value of a traceparent header of a new trace that nobody records: its sampled flag is not set."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00".encode()


def is_sampled(headers: Headers) -> bool:
    """Return whether whoever sent a record has recorded a span and asks others to; looks at nothing but the flag."""
    for name, value in headers:
        if name == TRACEPARENT:
            return value is not None and len(value) > _FLAG and value[_FLAG] in _SAMPLED
    return False


def with_traceparent(headers: Headers, traceparent: bytes) -> Headers:
    """Return the headers with another traceparent, in the place of the one there is."""
    return (*(header for header in headers if header[0] != TRACEPARENT), (TRACEPARENT, traceparent))


def identity(headers: Headers) -> dict[str, str]:
    """Return ``trace_id`` and ``event_id``, as far as headers tell them, for a log line about an event."""
    found = {"trace_id": parse_traceparent(headers)}
    for name, value in headers:
        if name == EVENT_ID:
            found["event_id"] = (value or b"").decode(errors="replace")
    return {name: value for name, value in found.items() if value is not None}


def _trace_id(value: bytes) -> str | None:
    match = _TRACEPARENT.fullmatch(value)
    # Version 00 has exactly four fields; a later version may add some.
    if match is None or (value.startswith(b"00") and match[2] is not None):
        return None
    return match[1].decode()
