"""What a service is to the runtime that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastapi import APIRouter

    from headgate_runtime.loop import LoopState
    from headgate_runtime.metrics import Metrics


class Runnable(Protocol):
    """What runs on the main thread; all but ``run`` are called from other threads, ``stop`` also by signals."""

    def run(self) -> None:
        """Run until stopped; what it raises ends the process with an error."""

    def stop(self) -> None:
        """Ask ``run`` to finish what is in flight and return."""

    def pause(self) -> None:
        """Take no more work; keep what there is going."""

    def resume(self) -> None:
        """Take back ``pause`` and ``drain``."""

    def drain(self) -> None:
        """Take no more work and be not ready."""

    def snapshot(self) -> LoopState:
        """Return what it is doing."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A wired service.

    Attributes:
        name: As in logs and metrics: ``enricher``.
        loop: What runs on the main thread.
        metrics: What /metrics shows.
        ready: Why the service is not ready, None where it is; on top of what the runtime asks itself.
        info: What /info shows of the service's own.
        close: Lets go of what the service opened; runs after the loop.
        healthy: Why a new start is due although the loop ticks, None where it is not.
        routers: The service's own endpoints.
        stall_limit_s: A loop that has not ticked for this long is dead.
    """

    name: str
    loop: Runnable
    metrics: Metrics
    ready: Callable[[], str | None]
    info: Callable[[], Mapping[str, Any]]
    close: Callable[[], None]
    healthy: Callable[[], str | None] = lambda: None
    routers: Sequence[APIRouter] = ()
    stall_limit_s: float = 60.0


def why_not_ready(service: Service) -> str | None:
    """Say why a service should get no work now; None where it should."""
    state = service.loop.snapshot()
    if state.draining:
        return "draining"
    if state.refusal is not None:
        return f"the brokers refuse this service: {state.refusal}"
    if not state.joined:
        return "no assignment from the consumer group yet"
    return _stalled(service) or service.ready()


def why_not_healthy(service: Service) -> str | None:
    """Say why a service should be started anew; None where it should not."""
    return _stalled(service) or service.healthy()


def _stalled(service: Service) -> str | None:
    age_s = service.loop.snapshot().last_tick_age_s
    return f"the loop has not ticked for {age_s:.0f} s" if age_s > service.stall_limit_s else None
