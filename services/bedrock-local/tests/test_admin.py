from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings

from .conftest import Server, ask

if TYPE_CHECKING:
    from schemathesis import Case


@pytest.mark.parametrize(
    "label",
    [
        "GET /healthz",
        "GET /readyz",
        "GET /admin/faults",
        "PUT /admin/faults",
        "GET /admin/stats",
        "POST /admin/reset",
    ],
)
def test_an_admin_call_holds_its_openapi_whatever_it_is_sent(server: Server, label: str) -> None:
    api = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    [operation] = [found.ok() for found in api.get_all_operations() if found.ok().label == label]

    @settings(max_examples=60, deadline=None)
    @given(case=operation.as_strategy())
    def fuzz(case: Case) -> None:
        case.call_and_validate()

    fuzz()
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("body", ['{"latency_ms": NaN}', '{"jitter": Infinity}', '{"no_such_knob": 1}', "[]", "{"])
def test_knobs_that_make_no_sense_are_a_422_and_change_nothing(server: Server, body: str) -> None:
    server.faults(latency_ms=3)
    headers = {"content-type": "application/json"}
    assert httpx.put(f"{server.url}/admin/faults", content=body, headers=headers).status_code == 422
    assert httpx.get(f"{server.url}/admin/faults").json()["latency_ms"] == 3


def test_reset_goes_back_to_the_start(server: Server, boto: Any) -> None:
    server.faults(throttle_rate=0.5, requests_per_minute=1_000)
    server.client().count_tokens(modelId="a", input={"converse": {"messages": ask()["messages"]}})
    httpx.post(f"{server.url}/admin/reset").raise_for_status()
    assert httpx.get(f"{server.url}/admin/faults").json()["throttle_rate"] == 0
    assert server.stats()["calls"] == 0
    assert boto.converse(**ask())["stopReason"] == "end_turn"


def test_health_answers(server: Server) -> None:
    assert [httpx.get(f"{server.url}/{path}").status_code for path in ("healthz", "readyz")] == [200, 200]
