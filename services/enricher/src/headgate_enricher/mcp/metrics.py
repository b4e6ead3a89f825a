"""What an operator watches of external tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class McpMetrics:
    """Metrics of external tools, by the tool's label or by server.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.counter("mcp_calls", "Calls of external tools, by how they ended.", ("tool", "outcome"))
        self._seconds = metrics.histogram("mcp_call_seconds", "Call sent to its end.", ("tool",), _BUCKETS_S)
        self._up = metrics.gauge("mcp_server_up", "Whether there is a session with a server.", ("server",))

    def called(self, tool: str, outcome: str, seconds: float) -> None:
        """Count a call; its outcome is ``answered``, ``cancelled``, ``arguments`` or why there was no answer."""
        self._calls.labels(tool, outcome).inc()
        self._seconds.labels(tool).observe(seconds)

    def up(self, server: str, *, is_up: bool) -> None:
        """Show whether there is a session with a server."""
        self._up.labels(server).set(is_up)
