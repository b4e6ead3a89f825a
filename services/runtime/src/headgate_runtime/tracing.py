"""W3C trace context in record headers."""

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


def parse_traceparent(headers: Headers) -> str | None:
    """Return the trace id (32 hexadecimal digits) of the first traceparent header; None where absent or invalid."""
    for name, value in headers:
        if name == TRACEPARENT:
            return _trace_id(value or b"")
    return None


def new_traceparent(trace_id: str | None = None) -> bytes:
    """Make the value of a sampled traceparent header: a new span in the given trace, else in a new one."""
    return f"00-{trace_id or secrets.token_hex(16)}-{secrets.token_hex(8)}-01".encode()


def _trace_id(value: bytes) -> str | None:
    match = _TRACEPARENT.fullmatch(value)
    # Version 00 has exactly four fields; a later version may add some.
    if match is None or (value.startswith(b"00") and match[2] is not None):
        return None
    return match[1].decode()
