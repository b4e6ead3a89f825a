"""The admin calls: fault knobs, counters, reset. Not part of Bedrock; nothing but tests and operators use them."""

from fastapi import APIRouter

from headgate_bedrock_local.endpoint import Endpoint
from headgate_bedrock_local.faults import EndpointFaults
from headgate_bedrock_local.stats import Stats


def admin_router(endpoint: Endpoint) -> APIRouter:
    """The routes below ``/admin``, and the health checks."""
    router = APIRouter()

    @router.get("/healthz")
    @router.get("/readyz")
    async def health() -> dict[str, str]:
        """Answers as soon as calls are served: nothing else has to be there."""
        return {"status": "ok"}

    @router.get("/admin/faults")
    async def read_faults() -> EndpointFaults:
        """The fault knobs as they are."""
        return endpoint.faults

    @router.put("/admin/faults")
    async def replace_faults(faults: EndpointFaults) -> EndpointFaults:
        """Replace all knobs; one left out goes back to its default, which is no fault."""
        endpoint.set_faults(faults)
        return endpoint.faults

    @router.get("/admin/stats")
    async def read_stats() -> Stats:
        """What was called, answered and paid for since the start or the last reset."""
        return endpoint.stats()

    @router.post("/admin/reset", status_code=204)
    async def reset() -> None:
        """Back to the knobs the endpoint started with, no counters, an empty prompt cache."""
        endpoint.reset()

    return router
