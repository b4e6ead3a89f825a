"""The writer's own endpoints beside the runtime's."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - FastAPI resolves annotations at run time
from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from headgate_runtime.access import REFUSALS, ControlCaller, Problem, audited
from pydantic import BaseModel, ConfigDict

from headgate_writer.errors import Acceptance


class _Accepted(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AcceptedIncarnation(_Accepted):
    """``topic/cluster id/topic id``: a topic that was created again, to be stored from its start."""

    incarnation: str


class AcceptedLoss(_Accepted):
    """``topic/partition/offset``: a position whose next records left the log before they were stored."""

    loss: str


class AcceptedTable(_Accepted):
    """The name of a table that was dropped or replaced: to be created anew, or written from the positions it has."""

    table: str


class Requested(BaseModel):
    """The request was taken; /info shows what it leads to."""

    requested: bool = True


def writer_router(request_commit: Callable[[], None], accept: Callable[[Acceptance], bool]) -> APIRouter:
    """Make the router of ``POST /control/commit`` and ``POST /control/accept``.

    Args:
        request_commit: Commits what is buffered.
        accept: Lets something pass; False where nothing waits for it.
    """
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS)

    @router.post("/commit", status_code=202)
    def commit(caller: ControlCaller) -> Requested:
        """Commit what is buffered at the loop's next iteration, whether it is due or not."""
        with audited(caller, "commit"):
            request_commit()
        return Requested()

    @router.post(
        "/accept",
        status_code=202,
        responses={
            400: {"model": Problem, "description": "The body is no JSON."},
            404: {"model": Problem, "description": "No parked table waits for this."},
        },
    )
    def accept_one(caller: ControlCaller, what: AcceptedIncarnation | AcceptedLoss | AcceptedTable) -> Requested:
        """Let pass what a parked table waits for; /info says which tables are parked, and what each waits for."""
        with audited(caller, "accept", **what.model_dump()):
            if not accept(_acceptance(what)):
                raise HTTPException(
                    HTTPStatus.NOT_FOUND, "No parked table waits for this: see details.tables.parked in /info."
                )
        return Requested()

    return router


def _acceptance(what: AcceptedIncarnation | AcceptedLoss | AcceptedTable) -> Acceptance:
    match what:
        case AcceptedIncarnation():
            return Acceptance("incarnation", what.incarnation)
        case AcceptedLoss():
            return Acceptance("loss", what.loss)
        case AcceptedTable():
            return Acceptance("table", what.table)
