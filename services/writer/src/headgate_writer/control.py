"""The writer's own endpoint beside the runtime's."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - FastAPI resolves annotations at run time

from fastapi import APIRouter
from headgate_runtime.access import REFUSALS, ControlCaller, audited
from pydantic import BaseModel


class CommitRequested(BaseModel):
    """The request was taken; /info shows the snapshot it leads to."""

    requested: bool = True


def commit_router(request_commit: Callable[[], None]) -> APIRouter:
    """Make the router of ``POST /control/commit``."""
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS)

    @router.post("/commit", status_code=202)
    def commit(caller: ControlCaller) -> CommitRequested:
        """Commit what is buffered at the loop's next iteration, whether it is due or not."""
        with audited(caller, "commit"):
            request_commit()
        return CommitRequested()

    return router
