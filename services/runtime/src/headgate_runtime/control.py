"""The control API, the same on every service."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from headgate_runtime.access import REFUSALS, Caller, ControlAuth, ControlCaller, audited
from headgate_runtime.service import Service, why_not_healthy, why_not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi.telemetry import TelemetryConfig

    from headgate_runtime.loop import LoopState
    from headgate_runtime.records import TopicPartition

_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value
_VERSION: Final = version("headgate-runtime")  # the workspace has one version
# FastAPI's own telemetry would trace every probe, and write what a refused request held.
_NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


class Health(BaseModel):
    """Whether the service is alive, and why not."""

    status: Literal["ok", "stalled"]
    reason: str | None
    last_tick_age_s: float


class Readiness(BaseModel):
    """Whether the service should get work, and why not."""

    ready: bool
    reason: str | None


class Status(BaseModel):
    """What the loop was told and what it does."""

    paused: bool
    draining: bool
    congested: bool
    busy: bool


class PartitionStatus(BaseModel):
    """A partition the service owns; position and lag are null until known."""

    topic: str
    partition: int
    position: int | None
    lag: int | None


class Info(BaseModel):
    """What runs here and how it is doing."""

    service: str
    version: str
    config: dict[str, Any]
    status: Status
    assignment: list[PartitionStatus]
    details: dict[str, Any]


def control_app(service: Service, auth: ControlAuth, config: Mapping[str, Any]) -> FastAPI:
    """Make the HTTP application of a service.

    Args:
        service: The service; its own routers are included.
        auth: Guards the control calls.
        config: Settings as /info shows them, secrets masked already.
    """
    app = FastAPI(
        title=f"Headgate {service.name}",
        version=_VERSION,
        docs_url=None,
        redoc_url=None,
        debug=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.control_auth = auth
    app.add_exception_handler(RequestValidationError, _refuse)
    app.include_router(_observation(service, config))
    app.include_router(_control(service))
    for router in service.routers:
        app.include_router(router)
    return app


def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer 422 in FastAPI's form, without the input: JSON cannot say all of it (NaN), and it may be private."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{"type": fault["type"], "loc": fault["loc"], "msg": fault["msg"]} for fault in faults]
    return JSONResponse({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)


def _observation(service: Service, config: Mapping[str, Any]) -> APIRouter:
    router = APIRouter(tags=["observation"])
    service.metrics.ready.set_function(lambda: why_not_ready(service) is None)

    @router.get("/healthz", responses={_UNAVAILABLE: {"model": Health, "description": "Stalled, and why."}})
    def healthz(response: Response) -> Health:
        """Liveness: the loop has ticked within the limit, and the service itself sees no need to start anew."""
        reason = why_not_healthy(service)
        response.status_code = HTTPStatus.OK if reason is None else _UNAVAILABLE
        age_s = service.loop.snapshot().last_tick_age_s
        return Health(status="ok" if reason is None else "stalled", reason=reason, last_tick_age_s=age_s)

    @router.get("/readyz", responses={_UNAVAILABLE: {"model": Readiness, "description": "Not ready, and why."}})
    def readyz(response: Response) -> Readiness:
        """Readiness: assigned, not draining, and what the service itself needs is there."""
        reason = why_not_ready(service)
        response.status_code = HTTPStatus.OK if reason is None else _UNAVAILABLE
        return Readiness(ready=reason is None, reason=reason)

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Return metrics in Prometheus' text format."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/info")
    def info() -> Info:
        """Version, settings with secrets masked, assignment, positions and lag."""
        state = service.loop.snapshot()
        return Info(
            service=service.name,
            version=_VERSION,
            config=dict(config),
            status=_status(state),
            assignment=[_partition(state, partition) for partition in state.assignment],
            details=dict(service.info()),
        )

    return router


def _control(service: Service) -> APIRouter:
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS)

    def act(caller: Caller, action: str, request: Callable[[], None]) -> Status:
        with audited(caller, action):
            request()
        return _status(service.loop.snapshot())

    @router.post("/pause")
    def pause(caller: ControlCaller) -> Status:
        """Stop consuming; what is in flight is finished, and partitions stay assigned."""
        return act(caller, "pause", service.loop.pause)

    @router.post("/resume")
    def resume(caller: ControlCaller) -> Status:
        """Consume again after a pause or a drain."""
        return act(caller, "resume", service.loop.resume)

    @router.post("/drain")
    def drain(caller: ControlCaller) -> Status:
        """Stop consuming and be not ready, until resumed; what is in flight is finished."""
        return act(caller, "drain", service.loop.drain)

    return router


def _status(state: LoopState) -> Status:
    return Status(paused=state.paused, draining=state.draining, congested=state.congested, busy=state.busy)


def _partition(state: LoopState, partition: TopicPartition) -> PartitionStatus:
    return PartitionStatus(
        topic=partition.topic,
        partition=partition.partition,
        position=state.positions.get(partition),
        lag=state.lag.get(partition),
    )
