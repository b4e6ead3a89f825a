"""POST /events: events over HTTP, accepted once the broker has them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import APIRouter, Request, Response, status
from fastapi.responses import JSONResponse
from headgate_runtime.access import REFUSALS, Problem
from headgate_runtime.errors import BackpressureError, HeadgateError, UnavailableError
from headgate_runtime.tracing import TRACEPARENT, find_traceparent
from headgate_schemas import Violation
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from headgate_producer.intake import ClosedError
from headgate_producer.openapi import batch_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi.params import Depends
    from headgate_runtime.records import OutgoingRecord

    from headgate_producer.config import IngestSettings
    from headgate_producer.intake import Intake
    from headgate_producer.metrics import ProducerMetrics
    from headgate_producer.preparation import Preparation

_DESCRIPTION: Final = """
Send one event as an object, or several as an array. A request is taken as a whole or not at all: where one event breaks
the schema or a rule of the contract, 422 names every such event and none is stored.

202 means that the broker has every event on all in-sync replicas. After 429 and 503 wait for Retry-After and repeat the
whole request with the same event ids: where the broker went away in between, some events may already be stored. The same
event sent twice is stored twice, with the same id; deciding on it once is the work of what reads the topic.

A timestamp is milliseconds since the epoch or an ISO 8601 text with its zone. A traceparent header is carried on.
"""


class Accepted(BaseModel):
    """All events are stored."""

    accepted: Annotated[int, Field(description="Number of events.")]


class ItemError(BaseModel):
    """Why one event was refused."""

    index: Annotated[int, Field(description="Position in the request, from 0.")]
    field: Annotated[str, Field(description="Path of the field; empty for the event as a whole.")]
    rule: Annotated[str, Field(description="Rule of the contract, or schema_... for the schema.")]
    message: Annotated[str, Field(description="What the field must be and of which class its value is.")]


class Refused(Problem):
    """Events break the contract; none was stored."""

    errors: list[ItemError]


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    **REFUSALS,
    413: {"model": Problem, "description": "The body is too large, or holds too many events."},
    415: {"model": Problem, "description": "The body is not declared as application/json."},
    422: {"model": Refused, "description": "Events break the contract; none was stored."},
    429: {"model": Problem, "description": "Too many events wait for the broker; see Retry-After."},
    502: {"model": Problem, "description": "The broker refused an event for good; some may be stored."},
    503: {"model": Problem, "description": "Paused, draining, or the broker is away; see Retry-After."},
}


class _TurnedAwayError(Exception):
    """The request cannot be taken; carries the answer."""

    def __init__(self, status_code: int, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.status_code = status_code
        self.detail = detail
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What POST /events works with."""

    preparation: Preparation
    intake: Intake
    metrics: ProducerMetrics
    settings: IngestSettings

    def router(self, event: Mapping[str, Any], dependencies: Sequence[Depends]) -> APIRouter:
        """The route.

        Args:
            event: JSON Schema of an event, for the documentation.
            dependencies: What a request has to pass before its body is read.
        """
        router = APIRouter(tags=["events"])
        content = {"application/json": {"schema": batch_schema(event, self.settings.max_events)}}
        router.add_api_route(
            "/events",
            self.post_events,
            methods=["POST"],
            status_code=status.HTTP_202_ACCEPTED,
            response_model=Accepted,
            responses=_RESPONSES,
            dependencies=list(dependencies),
            summary="Accept events",
            description=_DESCRIPTION,
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )
        return router

    async def post_events(self, request: Request) -> Response:
        """Read, check, hand over, and wait for the broker."""
        try:
            events = self._events(await self._body(request))
            prepared = self._prepare(events, _parent(request))
            if isinstance(prepared, Refused):
                return _answer(status.HTTP_422_UNPROCESSABLE_CONTENT, prepared)
            await self.intake.deliver(prepared, self.settings.ack_timeout_s)
        except _TurnedAwayError as error:
            return self._turned_away(error)
        except HeadgateError as error:
            return self._turned_away(_not_delivered(error))
        return _answer(status.HTTP_202_ACCEPTED, Accepted(accepted=len(prepared)))

    async def _body(self, request: Request) -> bytes:
        """Read the body, never more of it than is allowed."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise _TurnedAwayError(415, "send the events as application/json", "media_type")
        if reason := self.intake.unavailable():
            raise _TurnedAwayError(503, reason, "unavailable")
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self.settings.max_body_bytes:
                    limit = self.settings.max_body_bytes
                    raise _TurnedAwayError(413, f"a body may have {limit} bytes; send fewer events", "too_large")
        except ClientDisconnect as error:
            raise _TurnedAwayError(400, "the client went away before the body was complete", "disconnected") from error
        return bytes(body)

    def _events(self, body: bytes) -> list[Any]:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise _TurnedAwayError(400, f"the body is no JSON: {error}", "not_json") from error
        events = value if isinstance(value, list) else [value]
        if len(events) > self.settings.max_events:
            limit = self.settings.max_events
            raise _TurnedAwayError(413, f"a request may hold {limit} events; this one holds {len(events)}", "too_large")
        return events

    def _prepare(self, events: list[Any], parent: bytes | None) -> list[OutgoingRecord] | Refused:
        if not events:
            return Refused(detail="the array is empty; send at least one event", errors=[])
        records: list[OutgoingRecord] = []
        errors: list[ItemError] = []
        for index, event in enumerate(events):
            prepared = self._prepare_one(event, parent)
            if isinstance(prepared, Violation):
                self.metrics.refused.labels(prepared.rule).inc()
                fault = ItemError(index=index, field=prepared.field, rule=prepared.rule, message=prepared.message)
                errors.append(fault)
            else:
                records.append(prepared)
        if errors:
            detail = f"{len(errors)} of {len(events)} events break the contract; none was stored"
            return Refused(detail=detail, errors=errors)
        return records

    def _prepare_one(self, event: Any, parent: bytes | None) -> OutgoingRecord | Violation:
        normalised = self.preparation.normalise(event) if isinstance(event, dict) else event
        return normalised if isinstance(normalised, Violation) else self.preparation.prepare(normalised, parent)

    def _turned_away(self, error: _TurnedAwayError) -> Response:
        self.metrics.turned_away.labels(error.reason).inc()
        answer = _answer(error.status_code, Problem(detail=error.detail))
        if error.status_code in {status.HTTP_429_TOO_MANY_REQUESTS, status.HTTP_503_SERVICE_UNAVAILABLE}:
            answer.headers["Retry-After"] = str(self.settings.retry_after_s)
        return answer


def _not_delivered(error: HeadgateError) -> _TurnedAwayError:
    if isinstance(error, ClosedError):
        return _TurnedAwayError(status.HTTP_503_SERVICE_UNAVAILABLE, str(error), "closed")
    if isinstance(error, BackpressureError):
        return _TurnedAwayError(status.HTTP_429_TOO_MANY_REQUESTS, str(error), "backpressure")
    if isinstance(error, UnavailableError):
        return _TurnedAwayError(status.HTTP_503_SERVICE_UNAVAILABLE, str(error), "unavailable")
    return _TurnedAwayError(status.HTTP_502_BAD_GATEWAY, str(error), "rejected")


def _parent(request: Request) -> bytes | None:
    return find_traceparent(((TRACEPARENT, request.headers.get(TRACEPARENT, "").encode("latin-1")),))


def _answer(status_code: int, model: BaseModel) -> JSONResponse:
    return JSONResponse(model.model_dump(), status_code=status_code)
