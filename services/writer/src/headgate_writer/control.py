"""The writer's own endpoints beside the runtime's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping  # noqa: TC003 - FastAPI resolves annotations at run time
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, HTTPException
from headgate_runtime.access import REFUSALS, ControlCaller, Problem, audited
from pydantic import BaseModel, ConfigDict, Field

from headgate_writer.errors import Acceptance

_NOT_TAKEN: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    404: {"model": Problem, "description": "A table is none of this writer's."},
}


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


class MaintainRequest(BaseModel):
    """Which tables to maintain; all of this writer's where none is named."""

    model_config = ConfigDict(extra="forbid")

    tables: list[str] | None = Field(default=None, min_length=1)


class MaintenanceOfTable(BaseModel):
    """What becomes of the request for one table; /info and the metrics show how it went.

    Attributes:
        table: The table.
        maintained_here: Whether this replica does it; otherwise ask the one that owns the topic's lowest partition.
        will: What is done, in this order, as far as anything is due; safety ages hold as ever.
    """

    table: str
    maintained_here: bool
    will: list[str]


class MaintenanceRequested(BaseModel):
    """The request was taken."""

    tables: list[MaintenanceOfTable]


_STEPS: Final = [
    "expire snapshots beyond those to keep",
    "list the store",
    "delete files whose time is up",
    "compact small files of every partition",
]


def writer_router(
    request_commit: Callable[[], None],
    accept: Callable[[Acceptance], bool],
    request_maintenance: Callable[[Collection[str] | None], Mapping[str, bool]],
) -> APIRouter:
    """Make the router of ``POST /control/commit``, ``/control/accept`` and ``/control/maintain``.

    Args:
        request_commit: Commits what is buffered.
        accept: Lets something pass; False where nothing waits for it.
        request_maintenance: Maintains tables, all where none is named; tells of each whether it is done here.
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

    @router.post("/maintain", status_code=202, responses=_NOT_TAKEN)
    def maintain(caller: ControlCaller, request: MaintainRequest | None = None) -> MaintenanceRequested:
        """Expire, delete and compact as soon as possible instead of when it is due."""
        named = request.tables if request else None
        try:
            with audited(caller, "maintain", tables=named):
                taken = request_maintenance(named)
        except KeyError as error:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, f"{error} is no table that this writer maintains; /info lists those"
            ) from error
        return MaintenanceRequested(
            tables=[
                MaintenanceOfTable(table=table, maintained_here=here, will=_STEPS if here else [])
                for table, here in taken.items()
            ]
        )

    return router


def _acceptance(what: AcceptedIncarnation | AcceptedLoss | AcceptedTable) -> Acceptance:
    match what:
        case AcceptedIncarnation():
            return Acceptance("incarnation", what.incarnation)
        case AcceptedLoss():
            return Acceptance("loss", what.loss)
        case AcceptedTable():
            return Acceptance("table", what.table)
