from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from headgate_producer.app import assemble
from headgate_producer.config import Settings
from headgate_producer.openapi import event_schema
from headgate_runtime.access import ControlAuth
from headgate_runtime.control import control_app
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from headgate_schemas import RecordSchema, TopicContract

TOKEN = "a-token-long-enough"
# 413 refuses a batch that is too long, which schemathesis does not know as a refusal.
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 406, 413, 415, 422, 429]}}}
)
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def application(topic: TopicContract, record: RecordSchema) -> Iterator[FastAPI]:
    broker, registry = MemoryBroker(), MemoryRegistry()
    broker.create_topic(topic.topic, 4)
    registry.register(topic.subject, record.text)
    service = assemble(Settings(), MemoryProducer(broker), registry)
    loop = threading.Thread(target=service.loop.run, name="loop")
    loop.start()
    yield control_app(service, ControlAuth(TOKEN), {})
    service.loop.stop()
    loop.join(10.0)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_makes_the_service_fail_or_answer_off_its_contract(
    application: FastAPI, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", application, config=CONFIG)["/events"]["POST"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Case[Any]) -> None:
        # What JSON Schema cannot say (rules under a condition) may refuse data that its schema takes.
        case.call_and_validate(headers=AUTHORISED, excluded_checks=[positive_data_acceptance])

    fuzz()


def test_the_documentation_says_the_contract(topic: TopicContract, record: RecordSchema) -> None:
    schema = event_schema(topic, record)

    assert schema["additionalProperties"] is False
    assert schema["properties"]["event_type"]["enum"] == ["transaction", "login", "page_view"]
    timestamp = schema["properties"]["event_timestamp"]
    assert [form["type"] for form in timestamp["anyOf"]] == ["integer", "string"]
    attributes = schema["properties"]["payload"]["properties"]["attributes"]
    assert attributes["required"] == ["user_id"]
    amount = attributes["properties"]["amount"]
    assert amount["anyOf"] == [{"type": "number", "minimum": 0}, {"type": "null"}]
    assert "transaction_has_amount holds where event_type is transaction" in amount["description"]


def test_the_published_document_has_the_route_with_every_answer(application: FastAPI) -> None:
    route = application.openapi()["paths"]["/events"]["post"]

    assert {"202", "400", "401", "403", "413", "415", "422", "429", "502", "503"} <= set(route["responses"])
    event, batch = route["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert batch["items"] == event
