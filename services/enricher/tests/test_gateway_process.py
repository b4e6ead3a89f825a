"""The gateway against a Bedrock endpoint in a process of its own: outages, recovery, and a switch while it runs."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from headgate_enricher.bedrock.deadline import deadline
from headgate_enricher.bedrock.model import ModelFactory
from headgate_enricher.bedrock.settings import ModelSettings
from headgate_enricher.config import Settings
from headgate_enricher.gateway.assembly import create_calls
from headgate_enricher.gateway.control import model_router
from headgate_enricher.gateway.errors import reason_of
from headgate_enricher.gateway.model import GatewayModel
from headgate_enricher.gateway.protocols import CallContext
from headgate_enricher.gateway.spending import deliberation_of
from headgate_enricher.pricing import load_prices
from headgate_runtime.access import ControlAuth
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import eventually
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import SecretStr

from .bedrock_server import MODEL, BedrockServer, bedrock_server
from .scripted_models import UnlimitedPurse, ended, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIMARY, FALLBACK, OTHER = "us.amazon.nova-lite-v1:0", "us.amazon.nova-micro-v1:0", "us.amazon.nova-pro-v1:0"
TOKEN = "a-token-of-this-test"
IN_FLIGHT, ATTEMPTS = 32, 3


@pytest.fixture(scope="module")
def server() -> Iterator[BedrockServer]:
    with bedrock_server() as running:
        yield running


class Gateway:
    """The gateway as the service wires it, and an agent that asks it one question an event."""

    def __init__(self, server: BedrockServer, **models: str) -> None:
        bedrock = {"endpoint_url": server.url, "api_key": SecretStr("any"), "max_attempts": ATTEMPTS}
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": "nobody:1"},
                "registry": {"url": "http://nobody:1"},
                "bedrock": {**bedrock, "backoff_base_s": 0.02, "backoff_cap_s": 0.2},
                "models": {"primary": PRIMARY, **models},
                "max_in_flight": IN_FLIGHT,
            }
        )
        self.metrics = Metrics()
        self.factory = ModelFactory(settings.bedrock)
        self.calls = create_calls(settings, self.factory, load_prices(None), UnlimitedPurse(), self.metrics)
        self.model = GatewayModel(calls=self.calls)
        self.asked = 0

    async def ask(self) -> str:
        """The model that answered one event, or the reason why none did."""
        self.asked += 1
        until_s = time.monotonic() + 5
        context = CallContext(TopicPartition("in", 0), self.asked, "judge", "1", "shop", until_s)
        try:
            with deliberation_of(context) as spending, deadline(until_s):
                await self.model.ainvoke(f"Event {self.asked}")
        except Exception as error:  # noqa: BLE001 (the reason is what the tests look at)
            return reason_of(error)
        return spending.spent.model_id or "none"

    async def ask_many(self, seconds: float) -> list[str]:
        """Keep twice as many events in flight as the models take, for some seconds."""
        until_s = time.monotonic() + seconds

        async def keep_asking() -> list[str]:
            found = []
            while time.monotonic() < until_s:
                found.append(await self.ask())
                await asyncio.sleep(0.01)
            return found

        return [
            name for names in await asyncio.gather(*(keep_asking() for _ in range(2 * IN_FLIGHT))) for name in names
        ]

    @property
    def breaker(self) -> str:
        state: str = self.calls.routes.table.primary.snapshot()["breaker"]
        return state

    async def ask_until_mended(self, timeout_s: float = 20.0) -> None:
        """Ask now and then until probes have closed the primary's breaker."""
        async with asyncio.timeout(timeout_s):
            found = await self.ask()
            while (found, self.breaker) != (PRIMARY, "closed"):
                await asyncio.sleep(0.05)
                found = await self.ask()

    def attempts(self, model: str) -> float:
        errors = ("", "throttled", "unavailable", "timeout", "denied", "cancelled")
        return sum(ended(self.metrics, model, error) for error in errors)


def prepare(server: BedrockServer, **faults: Any) -> None:
    eventually(lambda: server.stats()["in_flight"] == 0)
    server.reset()
    server.faults(**faults)


def test_throttling_of_everything_costs_few_attempts_and_is_over_when_it_ends(server: BedrockServer) -> None:
    prepare(server, throttle_rate=1)
    gateway = Gateway(server)

    async def outage() -> None:
        reasons = await gateway.ask_many(2.0)
        assert set(reasons) <= {"throttled", "breaker"}
        calls = (await asyncio.to_thread(server.stats))["calls"]
        # Each event may be tried three times; with slots cut and the breaker open it is far less than once.
        assert calls <= len(reasons)
        assert calls == gateway.attempts(PRIMARY)
        await asyncio.to_thread(server.faults)
        await gateway.ask_until_mended()
        assert set(await gateway.ask_many(0.3)) == {PRIMARY}
        await gateway.factory.aclose()

    asyncio.run(outage())


@contextmanager
def broken_primary(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> Iterator[list[int]]:
    """The primary's attempts end with 503 until the block ends; counts them."""
    broken = gateway.calls.routes.table.primary.model
    attempts = [0]

    async def fail(*_: object) -> dict[str, Any]:
        attempts[0] += 1
        raise refused(503)

    with monkeypatch.context() as patched:
        patched.setattr(type(broken), "attempt", _only_for(broken, fail, type(broken).attempt))
        yield attempts


def _only_for(model: Any, wrong: Any, right: Any) -> Any:
    async def attempt(self: Any, request: dict[str, Any], left_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = await (wrong() if self is model else right(self, request, left_s))
        return answer

    return attempt


def test_a_broken_primary_is_left_to_the_fallback_model_and_found_again_by_a_probe(
    server: BedrockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(server)
    gateway = Gateway(server, fallback=FALLBACK)

    async def outage() -> None:
        with broken_primary(monkeypatch, gateway) as attempts:
            answered = await gateway.ask_many(0.5)
            assert set(answered) == {FALLBACK}
            assert attempts[0] < len(answered)
            assert gateway.breaker != "closed"
        await gateway.ask_until_mended()
        assert set(await gateway.ask_many(0.3)) == {PRIMARY}
        await gateway.factory.aclose()

    asyncio.run(outage())


@pytest.fixture
def control(server: BedrockServer) -> Iterator[tuple[Gateway, TestClient]]:
    prepare(server)
    gateway = Gateway(server)
    app = FastAPI()
    app.state.control_auth = ControlAuth(TOKEN)
    app.include_router(model_router(gateway.calls.routes))
    with TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield gateway, client


def test_a_put_switches_the_models_of_a_running_gateway(control: tuple[Gateway, TestClient]) -> None:
    gateway, client = control

    async def switch() -> list[str]:
        found = [await gateway.ask()]
        answer = await asyncio.to_thread(client.put, "/control/model", json={"primary": OTHER, "fallback": FALLBACK})
        assert answer.status_code == 200
        assert (answer.json()["primary"]["model"]["id"], answer.json()["cheaper"]) == (OTHER, None)
        found.append(await gateway.ask())
        await gateway.factory.aclose()
        return found

    assert asyncio.run(switch()) == [PRIMARY, OTHER]
    shown = client.get("/control/model").json()
    assert (shown["fallback"]["model"]["id"], shown["primary"]["breaker"]) == (FALLBACK, "closed")
    assert client.put("/control/model", json={"fallback": None}).json()["fallback"] is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"primary": "nobody.knows-v1:0"}, "No price"),
        ({"primary": None}, "not emptied"),
        ({"primry": PRIMARY}, "Extra inputs"),
        ({"primary": {"id": PRIMARY, "requests_per_minute": 1}}, "greater than or equal to 6"),
    ],
)
def test_a_put_that_cannot_be_followed_changes_nothing(
    control: tuple[Gateway, TestClient], body: dict[str, Any], problem: str
) -> None:
    gateway, client = control
    answer = client.put("/control/model", json=body)
    assert answer.status_code == 422
    assert problem in answer.text
    assert gateway.calls.routes.table.primary.id == PRIMARY


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer wrong-token"}, 403)])
def test_the_models_are_shown_and_switched_only_with_the_token(
    control: tuple[Gateway, TestClient], headers: dict[str, str], status: int
) -> None:
    gateway, client = control
    del client.headers["Authorization"]
    client.headers.update(headers)
    assert client.get("/control/model").status_code == status
    assert client.put("/control/model", json={"primary": OTHER}).status_code == status
    assert gateway.calls.routes.table.primary.id == PRIMARY


def test_a_guardrail_and_a_cache_point_go_with_the_request(server: BedrockServer) -> None:
    factory = server.factory(guardrail={"id": "gr1", "version": "3"})
    model = factory.create(MODEL, cache_from_tokens=100)
    short, long = (
        json.loads(model.prepare([SystemMessage("x" * length), HumanMessage("?")], None, {}).body)
        for length in (300, 400)
    )
    assert short["guardrailConfig"] == {"guardrailIdentifier": "gr1", "guardrailVersion": "3"}
    assert [list(block) for block in short["system"]] == [["text"]]
    assert [list(block) for block in long["system"]] == [["text"], ["cachePoint"]]


def test_models_come_from_the_environment_by_their_id_or_with_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA__BOOTSTRAP_SERVERS": "nobody:1",
        "REGISTRY__URL": "http://nobody:1",
        "MODELS__PRIMARY": PRIMARY,
        "MODELS__CHEAPER": '{"id": "us.amazon.nova-micro-v1:0", "tokens_per_minute": 9000}',
        "MODELS__FALLBACK": OTHER,
        "BEDROCK__GUARDRAIL__ID": "gr1",
        "BEDROCK__GUARDRAIL__VERSION": "DRAFT",
    }.items():
        monkeypatch.setenv(f"HEADGATE_ENRICHER_{name}", value)
    settings = Settings()
    assert (settings.models.primary.id, settings.models.primary.tokens_per_minute) == (PRIMARY, None)
    assert settings.models.cheaper == ModelSettings(id=FALLBACK, tokens_per_minute=9_000)
    assert settings.models.fallback == ModelSettings(id=OTHER)
    assert settings.bedrock.guardrail is not None
    monkeypatch.setenv("HEADGATE_ENRICHER_MODELS__PRIMARY", '{"id": "m", "requests_per_minute": 60}')
    assert Settings().models.primary == ModelSettings(id="m", requests_per_minute=60)
