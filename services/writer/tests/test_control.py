"""The writer's own control routes beside the runtime's: whatever they are sent, they answer as their OpenAPI says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from headgate_runtime.access import ControlAuth
from headgate_runtime.control import control_app
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.service import Service
from headgate_runtime.testing import MemoryBroker, MemoryConsumer
from headgate_writer.control import writer_router
from headgate_writer.errors import Acceptance
from hypothesis import given, settings
from schemathesis import Case, GenerationMode
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Collection

TOKEN = "a-token-long-enough"
HEADERS: tuple[dict[str, str], ...] = ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer wrong"}, {})


class Writer:
    """The writer's HTTP side over a loop in memory; counts the commits and rounds of maintenance asked for."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self.asked = 0
        self.accepted: list[Acceptance] = []
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
            routers=[writer_router(self.request_commit, self.accept, self.request_maintenance)],
        )
        self.app = control_app(service, ControlAuth(token), {})

    def accept(self, what: Acceptance) -> bool:
        self.accepted.append(what)
        return what.value != "nothing"

    def request_commit(self) -> None:
        self.asked += 1

    def request_maintenance(self, tables: Collection[str] | None) -> dict[str, bool]:
        here = {"lake.events": True, "lake.others": False}
        answer = {table: here[table] for table in tables or here}
        self.asked += 1
        return answer


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("token", [TOKEN, None], ids=["with a token", "without a token"])
@pytest.mark.parametrize("route", ["/control/commit", "/control/maintain"])
def test_a_route_holds_its_openapi_and_does_its_work_for_its_token_alone(
    mode: GenerationMode, token: str | None, route: str
) -> None:
    writer = Writer(token)
    operation = schemathesis.openapi.from_asgi("/openapi.json", writer.app)[route]["POST"]

    @settings(max_examples=40, deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Case[Any]) -> None:
        for headers in HEADERS:
            before = writer.asked
            response = case.call(headers=headers)
            assert writer.asked - before == int(response.status_code == 202)
            case.validate_response(response)
            if headers is not HEADERS[0] or token is None:
                assert response.status_code != 202
            elif mode is GenerationMode.POSITIVE:
                assert response.status_code in {202, 404}

    fuzz()


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("token", [TOKEN, None], ids=["with a token", "without a token"])
def test_the_accept_route_holds_its_openapi_and_accepts_for_its_token_alone(
    mode: GenerationMode, token: str | None
) -> None:
    writer = Writer(token)
    operation = schemathesis.openapi.from_asgi("/openapi.json", writer.app)["/control/accept"]["POST"]

    @settings(max_examples=40, deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Case[Any]) -> None:
        for headers in HEADERS:
            before = len(writer.accepted)
            response = case.call(headers=headers)
            assert len(writer.accepted) - before == int(response.status_code in {202, 404})
            case.validate_response(response)
            if headers is not HEADERS[0] or token is None:
                assert response.status_code not in {202, 404}
            elif mode is GenerationMode.POSITIVE:
                assert response.status_code in {202, 404}

    fuzz()


@pytest.mark.parametrize(
    ("body", "status", "accepted"),
    [
        ({"incarnation": "t/c/i"}, 202, [Acceptance("incarnation", "t/c/i")]),
        ({"loss": "t/0/5"}, 202, [Acceptance("loss", "t/0/5")]),
        ({"table": "a.t"}, 202, [Acceptance("table", "a.t")]),
        ({"table": "nothing"}, 404, [Acceptance("table", "nothing")]),
        ({"loss": "t/0/5", "table": "a.t"}, 422, []),
        ({}, 422, []),
    ],
)
def test_one_thing_is_accepted_at_a_time_and_audited(
    body: dict[str, str], status: int, accepted: list[Acceptance]
) -> None:
    writer = Writer()
    with capture_logs() as logs:
        response = TestClient(writer.app).post("/control/accept", json=body, headers=HEADERS[0])
    assert (response.status_code, writer.accepted) == (status, accepted)
    said = [(line["action"], line["outcome"]) for line in logs if line["event"] == "control"]
    assert said == {202: [("accept", "done")], 404: [("accept", "failed")], 422: []}[status]
