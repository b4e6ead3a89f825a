"""Several agents in one enricher: each event decided by the one its type belongs to, over kills; and one made by command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_agent_session.evals import load_golden
from headgate_agent_toolkit.scaffold import create_agent_package
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.testing import eventually
from headgate_schemas import field_getter

from tests.integration.enrichers import TOPICS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from headgate_local.processes import ServiceProcess

TABLE = {"risk": ["transaction"], "session": ["login", "page_view"]}
AGENT_OF = {kind: agent for agent, kinds in TABLE.items() for kind in kinds}
KILLS = 2
TOKEN = "of-the-test-alone"


class Routed(World):
    """The world with a view on who decides."""

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)

    def agents_shown(self, enricher: ServiceProcess) -> dict[str, Any]:
        """The agents as ``/info`` has them."""
        port = enricher.spec.environment["HEADGATE_ENRICHER_HTTP__PORT"]
        shown: dict[str, Any] = (
            httpx.get(f"http://127.0.0.1:{port}/info").raise_for_status().json()["details"]["agents"]
        )
        return shown

    def produce_sessions(self) -> None:
        """Send the session agent's golden sessions that are for the model, each of a key of its own."""
        contract = self.contracts.topic(self.source)
        assert contract.fields.key
        parents, _, leaf = contract.fields.key.rpartition(".")
        producer = KafkaProducer(self.kafka)
        for case in load_golden():
            if case.triage == "grey":
                key = f"{case.name}-{len(self.sent)}"
                for event in case.events():
                    (field_getter(parents)(event) if parents else event)[leaf] = key
                    producer.send(self.outgoing(event))
        assert producer.flush(30) == 0

    def type_of(self, event: dict[str, Any]) -> str:
        path = self.contracts.topic(self.source).fields.type
        assert path
        return str(field_getter(path)(event))

    def keys_remembered(self) -> Counter[str]:
        """How many keys each agent remembers."""
        memory = f"{self.name}.{TOPICS['memory_topic']}"
        partitions = [place.partition for place in self.partitions_of(memory)]
        prefix = f"enrichers-{self.name}/".encode()
        keys = [
            key.removeprefix(prefix).split(b"/")[0].decode()
            for _, key in read_compacted(self.kafka, memory, partitions, 30)
        ]
        return Counter(keys)

    def budget_accounts(self, enricher: ServiceProcess) -> set[str]:
        port = enricher.spec.environment["HEADGATE_ENRICHER_HTTP__PORT"]
        token = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"http://127.0.0.1:{port}/control/budget", headers=token).raise_for_status().json()
        return {each["name"] for each in answer["accounts"] if each["scope"] == "agent" and each["settled"]["tokens"]}


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Routed]:
    world = Routed(topic_name("agents"), tmp_path, stack)
    yield world
    world.model.stop()


def test_each_type_is_decided_once_by_its_agent_however_often_the_enricher_is_killed(world: Routed) -> None:
    world.model.start()
    world.model.wait_ready()
    world.faults(latency_ms=300, jitter=0.5)
    (token := world.folder / "token").write_text(TOKEN, "utf-8")
    enricher = world.enricher(
        "enricher-0",
        AGENTS=json.dumps(TABLE),
        HTTP__CONTROL_TOKEN_FILE=str(token),
        BUDGET__LIMITS=json.dumps([{"scope": "agent", "window": "day", "tokens": 10**9}]),
    )
    with running(enricher):
        shown = world.agents_shown(enricher)
        for _ in range(KILLS):
            before = world.written()
            world.produce_in_transactions(3, 150)
            world.produce_sessions()
            world.produce(400)
            eventually(lambda before=before: world.written() > before + 200, 60)
            enricher.kill9()
            assert enricher.revive()
            enricher.wait_ready()
        eventually(world.all_decided, 90)
        spent = world.budget_accounts(enricher)
    assert {name: agent["event_types"] for name, agent in shown.items()} == TABLE
    events = world.assert_exactly_once()
    tiers: Counter[tuple[str, str]] = Counter()
    for event in events:
        decided = event["agent_metadata"]
        assert decided["agent"] == AGENT_OF[world.type_of(event)]
        assert decided["agent_version"] == shown[decided["agent"]]["version"]
        assert (decided["session"] is not None) == (decided["agent"] == "session")
        tiers[decided["agent"], decided["tier"]] += 1
    assert min(tiers["risk", "model"], tiers["session", "model"]) > 0, tiers
    assert spent == set(TABLE)
    sessions = [event["agent_metadata"]["session"] for event in events if event["agent_metadata"]["session"]]
    assert {"browse", "buy"} < {session["intent"] for session in sessions}
    assert max(session["events"] for session in sessions) > 1
    # Both remember every key, whoever decides on its events.
    remembered = world.keys_remembered()
    assert remembered["risk"] == remembered["session"] > 100


def test_an_agent_made_by_command_decides_without_a_change_of_the_enricher(
    world: Routed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, site = world.folder / "shop", world.folder / "site"
    create_agent_package("shop", made)
    install = ("uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", sys.executable)
    subprocess.run([sys.executable, "-m", *install, "--target", str(site), str(made)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(site))
    world.model.start()
    world.model.wait_ready()
    enricher = world.enricher("enricher-0", AGENTS='{"shop": ["*"]}')
    with running(enricher):
        world.produce(1_500)
        eventually(world.all_decided, 60)
    events = world.assert_exactly_once()
    assert {event["agent_metadata"]["agent"] for event in events} == {"shop"}
    tiers = Counter(event["agent_metadata"]["tier"] for event in events)
    assert tiers["rules"] > tiers["model"] > 0
    assert tiers["fallback"] == 0
