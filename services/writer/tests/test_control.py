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
from hypothesis import given, settings
from schemathesis import Case, GenerationMode

if TYPE_CHECKING:
    from collections.abc import Collection

TOKEN = "a-token-long-enough"
HEADERS: tuple[dict[str, str], ...] = ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer wrong"}, {})


class Writer:
    """The writer's HTTP side over a loop in memory; counts the commits and rounds of maintenance asked for."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self.asked = 0
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
            routers=[writer_router(self.request_commit, self.request_maintenance)],
        )
        self.app = control_app(service, ControlAuth(token), {})

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


def test_maintenance_is_asked_for_by_table_and_says_what_will_be_done_and_where() -> None:
    client = TestClient(Writer().app, headers=HEADERS[0])
    answer = client.post("/control/maintain").json()["tables"]
    assert [(each["table"], each["maintained_here"], bool(each["will"])) for each in answer] == [
        ("lake.events", True, True),
        ("lake.others", False, False),
    ]
    one = client.post("/control/maintain", json={"tables": ["lake.others"]}).json()["tables"]
    assert [each["table"] for each in one] == ["lake.others"]
    unknown = client.post("/control/maintain", json={"tables": ["lake.typo"]})
    assert (unknown.status_code, "lake.typo" in unknown.json()["detail"]) == (404, True)
