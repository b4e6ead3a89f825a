"""Traces: W3C headers for every record, and spans of sampled ones where an endpoint for them is configured."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from headgate_runtime.tracing.headers import (
    EVENT_ID,
    TRACEPARENT,
    find_traceparent,
    identity,
    is_sampled,
    new_traceparent,
    parse_traceparent,
    with_traceparent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_runtime.config import TracingSettings

__all__ = [
    "EVENT_ID",
    "TRACEPARENT",
    "find_traceparent",
    "identity",
    "is_sampled",
    "new_traceparent",
    "parse_traceparent",
    "spans_exported",
    "with_traceparent",
]


@contextmanager
def spans_exported(settings: TracingSettings, *, service: str, instance: str) -> Iterator[None]:
    """Export what is recorded inside, and let it out at the end; do nothing where no endpoint is configured.

    Args:
        settings: Where spans go.
        service: Name of the service.
        instance: Name of the replica.
    """
    if settings.endpoint is None:
        yield
        return
    from headgate_runtime.tracing.export import exported  # noqa: PLC0415 - the SDK is for those who want it

    with exported(settings.endpoint, service=service, instance=instance, starts_traces=settings.starts_traces):
        yield
