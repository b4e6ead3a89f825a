"""The writer's own control route beside the runtime's: whatever it is sent, it answers as its OpenAPI says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from headgate_runtime.access import ControlAuth
from headgate_runtime.control import control_app
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.service import Service
from headgate_runtime.testing import MemoryBroker, MemoryConsumer
from headgate_writer.control import commit_router
from hypothesis import given, settings
from schemathesis import Case, GenerationMode

TOKEN = "a-token-long-enough"
HEADERS: tuple[dict[str, str], ...] = ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer wrong"}, {})


class Writer:
    """The writer's HTTP side over a loop in memory; counts the commits asked for."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self.commits = 0
        metrics = Metrics()
        consumer = MemoryConsumer(MemoryBroker(), "writer")
        loop = Loop(consumer, worker=self, topics=[], drain_timeout_s=1, metrics=metrics)  # type: ignore[arg-type]  # it never runs
        service = Service(
            name="writer",
            loop=loop,
            metrics=metrics,
            ready=lambda: None,
            info=dict,
            close=lambda: None,
            routers=[commit_router(self.request_commit)],
        )
        self.app = control_app(service, ControlAuth(token), {})

    def request_commit(self) -> None:
        self.commits += 1


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("token", [TOKEN, None], ids=["with a token", "without a token"])
def test_the_commit_route_holds_its_openapi_and_commits_for_its_token_alone(
    mode: GenerationMode, token: str | None
) -> None:
    writer = Writer(token)
    operation = schemathesis.openapi.from_asgi("/openapi.json", writer.app)["/control/commit"]["POST"]

    @settings(max_examples=40, deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Case[Any]) -> None:
        for headers in HEADERS:
            before = writer.commits
            response = case.call(headers=headers)
            assert writer.commits - before == int(response.status_code == 202)
            case.validate_response(response)
            if headers is not HEADERS[0] or token is None:
                assert response.status_code != 202
            elif mode is GenerationMode.POSITIVE:
                assert response.status_code == 202

    fuzz()
