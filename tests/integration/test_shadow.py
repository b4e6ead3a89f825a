"""Agents that are tried beside those that decide: a shadow that is killed, and a canary that gets its share of keys."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts

from tests.integration.enrichers import TOPICS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from headgate_local.processes import ServiceProcess
    from headgate_runtime.records import Record

TOKEN = "of-the-test-alone"
OTHER_MODEL = "us.amazon.nova-pro-v1:0"
LIMITS = [{"scope": kind, "window": "day", "tokens": 10**9} for kind in ("agent", "tenant")]
PERCENT = 20
# The risk agent under another name, as an installed package offers it.
NEXT = """
from headgate_agent_risk import create_agent as create_risk


class Next:
    name = "risk_next"

    def __init__(self, agent):
        self._agent = agent

    def __getattr__(self, name):
        return getattr(self._agent, name)


def create_agent(model, *, model_id, tools=()):
    return Next(create_risk(model, model_id=model_id, tools=tools))
"""


class Tried(World):
    """The world with a view on what a shadow and a canary do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.compared = f"{self.name}.{TOPICS['divergence_topic']}"

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)

    def values(self, topic: str) -> list[tuple[Record, dict[str, Any]]]:
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(topic).record))
        return [(record, decoder.decode(record.value)) for record in self.read(topic)]

    def divergences(self) -> list[dict[str, Any]]:
        return [value for _, value in self.values(self.compared)]

    def settled_tokens(self, enricher: ServiceProcess) -> dict[tuple[str, str], int]:
        """What the budget ledger has booked, by scope and name."""
        port = enricher.spec.environment["HEADGATE_ENRICHER_HTTP__PORT"]
        token = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"http://127.0.0.1:{port}/control/budget", headers=token).raise_for_status().json()
        return {
            (each["scope"], each["name"]): each["settled"]["tokens"]
            for each in answer["accounts"]
            if each["window"] == "day"
        }

    def add_revision(self) -> None:
        """Append a later record of an event, as a person's answer makes it."""
        contract = self.contracts.topic(self.output)
        record = self.contracts.record(contract.record)
        value = copy.deepcopy(Contracts.load().examples(record.name)["human_override"])
        producer = KafkaProducer(self.kafka)
        encoded = Encoder(self.registry, contract.subject, record).encode(value)
        producer.send(OutgoingRecord(self.output, self.key_of(value).encode(), encoded))
        assert producer.flush(30) == 0


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Tried]:
    world = Tried(topic_name("tried"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_a_shadow_compares_every_decision_once_however_it_is_killed_and_spends_no_budget_of_others(
    world: Tried,
) -> None:
    world.faults(latency_ms=200)
    (token := world.folder / "token").write_text(TOKEN, "utf-8")
    live = world.enricher(
        "enricher-0", HTTP__CONTROL_TOKEN_FILE=str(token), BUDGET__LIMITS=json.dumps(LIMITS), CACHED_ANSWERS="0"
    )
    shadow = world.enricher(
        "shadow-0",
        ROLE="shadow",
        GROUP_ID=f"shadows-{world.name}",
        MODELS__PRIMARY__ID=OTHER_MODEL,
        COMMIT_INTERVAL_MS="500",
    )
    with running(live, shadow):
        for _ in range(2):
            enough = len(world.divergences()) + 100
            world.produce_in_transactions(3, 200)
            world.produce(600)
            eventually(lambda enough=enough: len(world.divergences()) > enough, 60)
            shadow.kill9()
            assert shadow.revive()
            shadow.wait_ready()
        eventually(world.all_decided, 90)
        world.add_revision()
        eventually(lambda: len(world.divergences()) >= len(world.sent), 90)
        booked = world.settled_tokens(live)
    decided = {
        (record.partition, record.offset): value
        for record, value in world.values(world.output)
        if value["agent_metadata"]["revision"] == 0
    }
    compared = world.divergences()
    places = [
        (each["processing_metadata"]["source_partition"], each["processing_metadata"]["source_offset"])
        for each in compared
    ]
    assert Counter(places) == Counter(decided.keys())
    versions = {each["shadow"]["agent_version"] for each in compared}
    assert len(versions) == 1
    tiers: Counter[tuple[str, str]] = Counter()
    for place, each in zip(places, compared, strict=True):
        holding, shadowing = each["holding"], each["shadow"]
        assert {name: decided[place]["agent_metadata"][name] for name in holding} == holding
        assert holding["agent_version"] not in versions
        assert each["diverged"] == (holding["decision"] != shadowing["decision"])
        tiers[holding["tier"], shadowing["tier"]] += 1
        if shadowing["tier"] == "model":
            assert shadowing["model_id"] == OTHER_MODEL
    assert tiers["rules", "rules"] > tiers["model", "model"] > 0, tiers
    used = sum(
        event["agent_metadata"]["input_tokens"] + event["agent_metadata"]["output_tokens"] for event in decided.values()
    )
    assert booked["agent", "risk"] == used
    assert booked["agent", "risk.shadow"] > 0
    tenants = {name for scope, name in booked if scope == "tenant"}
    assert {f"{name}.shadow" for name in tenants if not name.endswith(".shadow")} <= tenants
    assert world.read(f"{world.name}.{TOPICS['reviews_topic']}")
    assert world.read(f"{world.compared}.dlq") == []


def install_next(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = site / "risk_next-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: risk-next\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[headgate.agents]\nrisk_next = risk_next:create_agent\n")
    (site / "risk_next.py").write_text(NEXT)
    monkeypatch.setenv("PYTHONPATH", str(site))


def test_a_canary_decides_on_its_share_of_the_keys_for_good(world: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    install_next(world.folder / "site", monkeypatch)
    canary = {"agent": "risk_next", "of": "risk", "percent": PERCENT}
    enricher = world.enricher("enricher-0", AGENTS='{"risk": ["*"]}', CANARY=json.dumps(canary))
    with running(enricher):
        port = enricher.spec.environment["HEADGATE_ENRICHER_HTTP__PORT"]
        shown = httpx.get(f"http://127.0.0.1:{port}/info").raise_for_status().json()["details"]
        world.produce(1_000)
        eventually(lambda: world.written() > 100, 60)
        enricher.kill9()
        assert enricher.revive()
        enricher.wait_ready()
        world.produce(1_000)
        eventually(world.all_decided, 90)
    assert shown["canary"] == canary
    agents: dict[str, set[str]] = {}
    for event in world.assert_exactly_once():
        decided = event["agent_metadata"]
        assert decided["agent_version"] == shown["agents"][decided["agent"]]["version"]
        agents.setdefault(world.key_of(event), set()).add(decided["agent"])
    assert {len(found) for found in agents.values()} == {1}
    share = sum("risk_next" in found for found in agents.values()) / len(agents)
    assert PERCENT / 2 < share * 100 < PERCENT * 2
