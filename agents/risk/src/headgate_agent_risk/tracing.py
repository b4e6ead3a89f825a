"""A span a tool's call, by OpenTelemetry's API alone: whoever runs the agent says whether and where spans go."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, Status, StatusCode, get_current_span, get_tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span

_TRACER = get_tracer("headgate_agent_risk")
UNLISTED = "unlisted"


@contextmanager
def tool_span(name: str | None) -> Iterator[Span]:
    """Put a span around a call, where there is one to put it under; arguments and results stay out of it.

    Args:
        name: The tool; None where the model named one that is not on the list, for its words stay out too.
    """
    if not get_current_span().is_recording():
        yield INVALID_SPAN
        return
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.type": "function"}
    shown = {**attributes, "gen_ai.tool.name": name or UNLISTED}
    with _TRACER.start_as_current_span(
        f"execute_tool {name or UNLISTED}", attributes=shown, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


def refused(span: Span) -> None:
    """Say that a call gave no result."""
    span.set_attribute("error.type", "refused")
    span.set_status(Status(StatusCode.ERROR))
