from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import schemathesis
from fastapi import APIRouter, Body, FastAPI
from fastapi.testclient import TestClient
from headgate_runtime.access import REFUSALS, ControlAuth, ControlCaller, TokenFile
from headgate_runtime.config import HttpSettings, KafkaSettings, LineageSettings, RegistrySettings, ServiceSettings
from headgate_runtime.control import control_app
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.loop import LoopState
from headgate_runtime.masking import MASK, masked
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import TopicPartition
from headgate_runtime.service import Service
from structlog.testing import capture_logs

TOKEN = "0123456789abcdef-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWNED, UNKNOWN = TopicPartition("events", 1), TopicPartition("events", 2)


class FakeLoop:
    def __init__(self) -> None:
        self.state = LoopState(
            assignment=(OWNED, UNKNOWN), positions={OWNED: 12}, lag={OWNED: 3}, joined=True, last_tick_age_s=0.5
        )
        self.requests: list[str] = []

    def run(self) -> None:
        self.requests.append("run")

    def stop(self) -> None:
        self.requests.append("stop")

    def pause(self) -> None:
        self.requests.append("pause")

    def resume(self) -> None:
        self.requests.append("resume")

    def drain(self) -> None:
        self.requests.append("drain")

    def snapshot(self) -> LoopState:
        return self.state


class Bench:
    def __init__(self, token: str | None = TOKEN) -> None:
        self.loop = FakeLoop()
        self.reason: str | None = None
        self.ailment: str | None = None
        router = APIRouter(responses=REFUSALS)

        @router.post("/numbers", include_in_schema=False)
        def numbers(number: Annotated[int, Body(embed=True)]) -> int:
            return number

        @router.post("/control/custom")
        def custom(caller: ControlCaller) -> dict[str, str]:
            return {"by": caller.token}

        metrics = Metrics()
        metrics.records_consumed.labels("events").inc(7)
        self.service = Service(
            name="sample",
            loop=self.loop,
            metrics=metrics,
            ready=lambda: self.reason,
            info=lambda: {"model": "m"},
            healthy=lambda: self.ailment,
            close=lambda: None,
            routers=[router],
        )
        self.app: FastAPI = control_app(self.service, ControlAuth(token), {"topic": "events"})
        self.client = TestClient(self.app)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_liveness_is_the_age_of_the_last_tick(bench: Bench) -> None:
    assert bench.client.get("/healthz").json() == {"status": "ok", "reason": None, "last_tick_age_s": 0.5}
    bench.loop.state = LoopState(last_tick_age_s=61)
    response = bench.client.get("/healthz")
    assert (response.status_code, response.json()["status"]) == (503, "stalled")


def test_a_service_may_call_for_a_new_start_itself(bench: Bench) -> None:
    bench.ailment = "nothing committed for 301 s"
    response = bench.client.get("/healthz")
    assert (response.status_code, response.json()["reason"]) == (503, "nothing committed for 301 s")


@pytest.mark.parametrize("body", ['{"number": NaN}', '{"number": -Infinity}', '{"number": "secret"}', "{", "NaN"])
def test_a_wrong_body_is_refused_without_being_repeated(bench: Bench, body: str) -> None:
    response = bench.client.post("/numbers", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert all(set(fault) == {"type", "loc", "msg"} for fault in response.json()["detail"])
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("state", "own_reason", "reason"),
    [
        (LoopState(joined=True), None, None),
        (LoopState(joined=False), None, "no assignment from the consumer group yet"),
        (LoopState(joined=True, draining=True), None, "draining"),
        (LoopState(joined=True, last_tick_age_s=99), None, "the loop has not ticked for 99 s"),
        (LoopState(joined=True), "the catalog does not answer", "the catalog does not answer"),
        (LoopState(joined=True, paused=True), None, None),
        (LoopState(refusal="wrong password"), None, "the brokers refuse this service: wrong password"),
    ],
)
def test_readiness_says_why_not(bench: Bench, state: LoopState, own_reason: str | None, reason: str | None) -> None:
    bench.loop.state, bench.reason = state, own_reason
    response = bench.client.get("/readyz")
    assert response.status_code == (200 if reason is None else 503)
    assert response.json() == {"ready": reason is None, "reason": reason}
    assert f"headgate_ready_state {float(reason is None)}" in bench.client.get("/metrics").text


def test_metrics_are_in_prometheus_text(bench: Bench) -> None:
    response = bench.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'headgate_records_consumed_total{topic="events"} 7.0' in response.text
    assert "\nprocess_resident_memory_bytes " in response.text


def test_info_shows_settings_assignment_positions_and_lag(bench: Bench) -> None:
    info = bench.client.get("/info").json()
    assert info["config"] == {"topic": "events"}
    assert info["details"] == {"model": "m"}
    assert info["assignment"] == [
        {"topic": "events", "partition": 1, "position": 12, "lag": 3},
        {"topic": "events", "partition": 2, "position": None, "lag": None},
    ]


@pytest.mark.parametrize("action", ["pause", "resume", "drain"])
def test_a_control_call_acts_and_is_audited(bench: Bench, action: str) -> None:
    with capture_logs() as logs:
        response = bench.client.post(f"/control/{action}", headers=BEARER)
    assert response.status_code == 200
    assert bench.loop.requests == [action]
    (line,) = logs
    assert (line["action"], line["outcome"], line["client"]) == (action, "done", "testclient")
    assert len(line["token"]) == 12
    assert TOKEN not in str(line)


@pytest.mark.parametrize(
    ("configured", "headers", "status", "says"),
    [
        (TOKEN, {}, 401, "Authorization: Bearer"),
        (TOKEN, {"Authorization": "Basic dXNlcjpwdw=="}, 401, "Authorization: Bearer"),
        (TOKEN, {"Authorization": "Bearer wrong"}, 403, "not the control token"),
        (TOKEN, {"Authorization": b"Bearer \xff\xfe"}, 403, "not the control token"),
        (TOKEN, {"Authorization": f"Bearer {TOKEN}x"}, 403, "not the control token"),
        (None, BEARER, 403, "HTTP__CONTROL_TOKEN_FILE"),
        (None, {}, 401, "Authorization: Bearer"),
    ],
)
@pytest.mark.parametrize("path", ["/control/pause", "/control/resume", "/control/drain", "/control/custom"])
def test_without_the_token_nothing_changes_and_an_audit_line_says_who_tried(
    configured: str | None, headers: dict[str, Any], status: int, says: str, path: str
) -> None:
    bench = Bench(configured)
    with capture_logs() as logs:
        response = bench.client.post(path, headers=headers)
    assert response.status_code == status
    assert says in response.json()["detail"]
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert bench.loop.requests == []
    (line,) = logs
    assert (line["action"], line["outcome"], line["client"]) == (f"POST {path}", "refused", "testclient")


def test_a_token_is_read_from_its_file_without_white_space(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"  {TOKEN}\n")
    bench = Bench()
    app = control_app(bench.service, ControlAuth.from_settings(HttpSettings(control_token_file=path)), {})
    assert TestClient(app).post("/control/pause", headers=BEARER).status_code == 200


def test_a_token_that_is_replaced_in_its_file_is_taken_without_a_restart_and_one_that_is_gone_is_nobodys(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "token", [0.0]
    path.write_text(TOKEN)
    token = TokenFile(path, lambda: now[0])
    path.write_text(f"{TOKEN}-2")
    assert token() == TOKEN  # not looked at again within a second
    now[0] += 1
    assert token() == f"{TOKEN}-2"
    path.unlink()
    now[0] += 1
    assert token() is None
    path.write_text(f"{TOKEN}-3")
    now[0] += 1
    assert token() == f"{TOKEN}-3"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe\xff\xfe"])
def test_an_unusable_token_file_is_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    for each in (path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="token"):
            ControlAuth.from_settings(HttpSettings(control_token_file=each))


def test_secrets_are_masked_and_the_rest_is_not() -> None:
    settings = ServiceSettings(
        kafka=KafkaSettings(
            bootstrap_servers="b:9092",
            properties={"sasl.password": "hidden", "ssl.key.pem": "hidden", "ssl.ca.location": "/ca", "linger.ms": "5"},
        ),
        registry=RegistrySettings(url="http://user:hidden@registry:8081"),
        http=HttpSettings(control_token_file=Path("/run/token")),
    )
    shown = masked(settings)
    assert "hidden" not in str(shown)
    assert shown["kafka"]["properties"] == {
        "sasl.password": MASK,
        "ssl.key.pem": MASK,
        "ssl.ca.location": "/ca",
        "linger.ms": "5",
    }
    assert shown["registry"]["url"] == f"http://{MASK}@registry:8081"
    assert shown["http"]["control_token_file"] == "/run/token"


def published(state: LoopState) -> Any:
    bench = Bench()
    bench.loop.state = state
    return schemathesis.openapi.from_asgi("/openapi.json", bench.app)


def fuzz(case: schemathesis.Case) -> None:
    for headers in (BEARER, {}, {"Authorization": "Bearer wrong"}):
        response = case.call(headers=headers)
        assert response.status_code < 500 or response.status_code == 503
        case.validate_response(response, excluded_checks=[schemathesis.checks.not_a_server_error])


healthy, stalled = published(LoopState(joined=True)), published(LoopState(last_tick_age_s=100))


@healthy.parametrize()
def test_a_healthy_service_answers_as_its_openapi_says(case: schemathesis.Case) -> None:
    fuzz(case)


@stalled.parametrize()
def test_a_stalled_service_answers_as_its_openapi_says(case: schemathesis.Case) -> None:
    fuzz(case)


def test_what_lineage_is_sent_with_is_masked() -> None:
    transport = {"type": "http", "auth": {"apiKey": "k"}, "custom_headers": {"Authorization": "Bearer k"}}
    shown = masked(LineageSettings(transport=transport))["transport"]
    assert shown == {"type": "http", "auth": {"apiKey": MASK}, "custom_headers": {"Authorization": MASK}}
