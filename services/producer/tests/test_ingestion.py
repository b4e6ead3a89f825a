from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from headgate_producer.app import assemble
from headgate_producer.config import IngestSettings, Settings
from headgate_runtime.access import ControlAuth
from headgate_runtime.control import control_app
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry, eventually
from headgate_runtime.tracing import parse_traceparent
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from headgate_runtime.service import Service

TOKEN = "a-token-long-enough"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}

Stored = Callable[[], list[dict[str, Any]]]


class Running:
    """The service over a broker in memory: HTTP on the test's thread, the loop on its own."""

    def __init__(self, service: Service, client: TestClient) -> None:
        self.service = service
        self.client = client

    def post(self, content: Any, **headers: str) -> Any:
        return self.client.post("/events", json=content, headers={**AUTHORISED, **headers})

    def metric(self, name: str, **labels: str) -> float | None:
        return self.service.metrics.registry.get_sample_value(f"headgate_producer_{name}", labels)


@contextmanager
def running(
    broker: MemoryBroker, registry: MemoryRegistry, producer: MemoryProducer | None = None, **ingest: Any
) -> Iterator[Running]:
    settings = Settings(ingest=IngestSettings(**ingest), drain_timeout_s=1.0)
    service = assemble(settings, producer or MemoryProducer(broker), registry)
    loop = threading.Thread(target=service.loop.run, name="loop")
    loop.start()
    try:
        yield Running(service, TestClient(control_app(service, ControlAuth(TOKEN), {})))
    finally:
        service.loop.stop()
        loop.join(10.0)
        assert not loop.is_alive()


@pytest.fixture
def service(broker: MemoryBroker, registry: MemoryRegistry) -> Iterator[Running]:
    with running(broker, registry) as service:
        yield service


@pytest.fixture
def bounded(broker: MemoryBroker, registry: MemoryRegistry) -> Iterator[Running]:
    with running(broker, registry, max_events=3, max_body_bytes=4000) as service:
        yield service


def test_one_event_and_an_array_are_stored_before_the_answer(
    service: Running, stored: Stored, event: dict[str, Any]
) -> None:
    one = service.post(event)
    assert (one.status_code, one.json()) == (202, {"accepted": 1})
    assert [found["event_id"] for found in stored()] == ["e-1"]

    several = service.post([{**event, "event_id": f"e-{number}"} for number in range(2, 5)])
    assert (several.status_code, several.json()) == (202, {"accepted": 3})
    assert {found["event_id"] for found in stored()} == {"e-1", "e-2", "e-3", "e-4"}
    assert service.metric("events_accepted_total") == 4
    assert service.metric("delivery_seconds_count") == 4
    assert service.metric("events_outstanding") == 0


def test_an_event_sent_twice_is_passed_on_twice_as_it_is(
    service: Running, stored: Stored, event: dict[str, Any]
) -> None:
    assert [service.post(event).status_code for _ in range(2)] == [202, 202]

    assert [found["event_id"] for found in stored()] == ["e-1", "e-1"]


def test_a_time_may_be_iso_or_milliseconds(service: Running, stored: Stored, event: dict[str, Any]) -> None:
    service.post([event, {**event, "event_timestamp": "2027-01-15T09:00:00+01:00"}])

    assert {found["event_timestamp"] for found in stored()} == {event["event_timestamp"]}


def test_the_callers_trace_is_carried_on(service: Running, broker: MemoryBroker, event: dict[str, Any]) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    service.post(event, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    service.post(event, traceparent="nonsense")

    traces = [parse_traceparent(found.headers) for found in broker.records("raw-events")]
    assert trace_id in traces
    assert None not in traces
    assert len(set(traces)) == 2


def test_each_broken_event_is_named_and_none_of_the_request_is_stored(
    service: Running, stored: Stored, event: dict[str, Any]
) -> None:
    answer = service.post([event, {**event, "event_type": "refund"}, 5, {**event, "event_timestamp": "soon"}])

    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert [(error["index"], error["field"], error["rule"]) for error in errors] == [
        (1, "event_type", "event_type_known"),
        (2, "", "schema_type"),
        (3, "event_timestamp", "schema_type"),
    ]
    assert "transaction" in errors[0]["message"]
    assert "refund" not in answer.text
    assert stored() == []
    assert service.metric("events_refused_total", rule="event_type_known") == 1


@pytest.mark.parametrize(
    ("content", "media_type", "status", "says"),
    [
        (b"{", "application/json", 400, "no JSON"),
        (b"", "application/json", 400, "no JSON"),
        (b"\xff", "application/json", 400, "no JSON"),
        (b"[" * 3000, "application/json", 400, "no JSON"),
        (b"[]", "application/json", 422, "at least one event"),
        (b"[{}]", "text/plain", 415, "application/json"),
        (b"[1, 1, 1, 1]", "application/json", 413, "may hold 3 events"),
        (b'"' + b"x" * 5000 + b'"', "application/json", 413, "4000 bytes"),
    ],
)
def test_a_request_that_cannot_be_read_is_told_what_is_wrong(
    bounded: Running, content: bytes, media_type: str, status: int, says: str
) -> None:
    answer = bounded.client.post("/events", content=content, headers={**AUTHORISED, "Content-Type": media_type})

    assert answer.status_code == status
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer wrong-but-long-enough"}, 403)])
def test_nothing_is_taken_without_the_token(
    service: Running, stored: Stored, event: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    assert service.client.post("/events", json=event, headers=headers).status_code == status
    assert stored() == []


def test_anonymous_events_are_taken_only_where_that_is_set(
    broker: MemoryBroker, registry: MemoryRegistry, event: dict[str, Any]
) -> None:
    with running(broker, registry, allow_anonymous=True) as service:
        assert service.client.post("/events", json=event).status_code == 202
        assert service.client.post("/control/pause").status_code == 401


@pytest.mark.parametrize("action", ["pause", "drain"])
def test_while_paused_or_draining_requests_are_turned_away_until_resumed(
    service: Running, stored: Stored, event: dict[str, Any], action: str
) -> None:
    assert service.client.post(f"/control/{action}", headers=AUTHORISED).status_code == 200

    answer = service.post(event)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "/control/resume" in answer.json()["detail"]
    assert service.client.get("/readyz").status_code == 503
    assert stored() == []
    service.client.post("/control/resume", headers=AUTHORISED)
    assert service.post(event).status_code == 202
    assert service.client.get("/readyz").status_code == 200


def test_more_than_may_be_outstanding_is_told_to_come_back(
    broker: MemoryBroker, registry: MemoryRegistry, stored: Stored, event: dict[str, Any]
) -> None:
    with running(broker, registry, max_events=3, max_outstanding=4, ack_timeout_s=20) as service:
        broker.available = False
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(service.post, [event] * 3)
            eventually(lambda: service.metric("events_outstanding") == 3)

            answer = service.post([event] * 2)

            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == "1"
            broker.available = True
            assert waiting.result(10).status_code == 202
    assert len(stored()) == 3


def test_a_full_client_queue_is_backpressure_and_leaves_nothing_counted(
    broker: MemoryBroker, registry: MemoryRegistry, event: dict[str, Any]
) -> None:
    broker.available = False
    with running(broker, registry, MemoryProducer(broker, queue_limit=2)) as service:
        assert service.post([event] * 3).status_code == 429
        assert service.metric("events_outstanding") == 2
        broker.available = True
        eventually(lambda: service.metric("events_outstanding") == 0)


def test_without_the_broker_a_request_times_out_the_next_are_turned_away_at_once_and_it_recovers(
    broker: MemoryBroker, registry: MemoryRegistry, stored: Stored, event: dict[str, Any]
) -> None:
    with running(broker, registry, ack_timeout_s=0.1, stall_after_s=0.05) as service:
        broker.available = False
        late = service.post(event)
        turned_away = service.post({**event, "event_id": "e-2"})

        assert late.status_code == turned_away.status_code == 503
        assert "did not acknowledge" in late.json()["detail"]
        assert "acknowledged nothing" in turned_away.json()["detail"]
        assert turned_away.headers["Retry-After"] == "1"
        assert "acknowledged nothing" in service.client.get("/readyz").json()["reason"]
        broker.available = True
        eventually(lambda: service.post({**event, "event_id": "e-3"}).status_code == 202)
    assert [found["event_id"] for found in stored()] == ["e-1", "e-3"]


def test_an_event_the_broker_refuses_for_good_is_no_reason_to_repeat(
    broker: MemoryBroker, registry: MemoryRegistry, event: dict[str, Any]
) -> None:
    broker.max_record_bytes = 10
    with running(broker, registry) as service:
        answer = service.post(event)

    assert answer.status_code == 502
    assert "Retry-After" not in answer.headers
    assert service.metric("events_undelivered_total", error="RejectedError") == 1


def test_a_stop_waits_for_what_is_outstanding(
    broker: MemoryBroker, registry: MemoryRegistry, stored: Stored, event: dict[str, Any]
) -> None:
    broker.available = False
    with ThreadPoolExecutor(1) as pool:
        with running(broker, registry) as service:
            waiting = pool.submit(service.post, event)
            eventually(lambda: service.metric("events_outstanding") == 1)
            service.service.loop.stop()
            eventually(lambda: service.post(event).status_code == 503)
            broker.available = True
        assert waiting.result(10).status_code == 202
    assert len(stored()) == 1


def test_a_schema_that_is_not_registered_stops_the_start_with_what_to_run(broker: MemoryBroker) -> None:
    with pytest.raises(ConfigurationError, match="headgate schemas register"):
        assemble(Settings(), MemoryProducer(broker), MemoryRegistry())


def test_an_unknown_topic_stops_the_start(broker: MemoryBroker, registry: MemoryRegistry) -> None:
    with pytest.raises(ConfigurationError, match="no topic 'nope'"):
        assemble(Settings(topic="nope"), MemoryProducer(broker), registry)


def test_info_names_topic_and_schema(service: Running) -> None:
    details = service.client.get("/info").json()["details"]

    assert details == {"topic": "raw-events", "schema": "base_event.v1", "outstanding": 0}
