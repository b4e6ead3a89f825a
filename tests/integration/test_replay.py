"""Replays by ``headgate replay``: what was decided by rules, models and fallbacks, decided again byte for byte."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.main import make_app
from headgate_runtime.avro import Decoder
from headgate_runtime.testing import eventually
from typer.testing import CliRunner

from tests.integration.enrichers import TOPICS, World, running
from tests.integration.profiles import FIGURE, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

# One after the other: all at once would leave the breaker open, and little else to be seen.
FAULTS: tuple[dict[str, float], ...] = (
    {"throttle_rate": 0.8},
    {"malformed_rate": 0.6},
    {"hang_rate": 0.3},
    {"drop_rate": 0.3, "model_error_rate": 0.1},
)


class Recorded(World):
    """The world with replays of it."""

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)

    def ends(self) -> dict[str, int]:
        """Where each topic of the enrichers that decide ends."""
        return {
            topic: sum(self.admin.high_watermarks(self.partitions_of(topic)).values())
            for topic in self.contracts.topics
        }

    def reused_answers(self) -> int:
        """Kept answers that another event has paid for."""
        topic = f"{self.name}.{TOPICS['results_topic']}"
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(topic).record))
        return sum(decoder.decode(record.value)["reused"] for record in self.read(topic))

    def replay(self, name: str, *arguments: str, **settings: str) -> tuple[int, dict[str, Any]]:
        """Run ``headgate replay`` as an operator would, with the enricher's settings in the environment."""
        instance = self.enricher("replay", **settings).spec.environment
        environment = {
            "HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            "HEADGATE_ADMIN_REGISTRY__URL": self.brokers.registry_url,
            "HEADGATE_ADMIN_CONTRACTS_DIR": str(self.contracts.directory),
            "HEADGATE_ADMIN_ENRICHED_TOPIC": self.output,
        }
        arguments = ("replay", f"{self.name}-{name}", *arguments, "--json")
        result = CliRunner().invoke(make_app(), arguments, env={**instance, **environment})
        return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def world(
    stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recorded]:
    monkeypatch.chdir(tmp_path)
    world = Recorded(topic_name("recorded"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_everything_is_decided_again_byte_for_byte_without_a_model_and_nothing_of_the_live_agents_is_touched(
    world: Recorded, record_property: Callable[[str, object], None]
) -> None:
    enricher = world.enricher("enricher-0", EVENT_DEADLINE_S="5", COMMIT_INTERVAL_MS="500")
    accounts = [f"user-{number}" for number in range(150)]
    tell(world, dict.fromkeys(accounts, 7))
    with running(enricher):
        world.faults(latency_ms=100)

        def killed_between_answer_and_commit() -> bool:
            before = world.written()
            world.produce(1_500)
            eventually(lambda: world.written() > before + 700, 60)
            enricher.kill9()
            assert enricher.revive()
            enricher.wait_ready()
            eventually(world.all_decided, 90)
            return world.reused_answers() > 0

        eventually(killed_between_answer_and_commit, 90)
        tell(world, dict.fromkeys(accounts, 8))
        for faults in FAULTS:
            world.faults(latency_ms=100, **faults)
            world.produce_in_transactions(4, 250)
            eventually(world.all_decided, 90)
        world.faults(latency_ms=0)
        world.produce(1_000)
        eventually(world.all_decided, 90)
    calls, ends = world.model_calls(), world.ends()
    code, document = world.replay("same", "--expect-identical")
    decided = [event["agent_metadata"] for event in world.decided()]
    tiers = Counter(each["tier"] for each in decided)
    reasons = Counter(each["fallback_reason"] for each in decided)
    reused = world.reused_answers()
    cut_off = sum(each["model_calls"] > 0 == each["input_tokens"] for each in decided)
    figures = {**document, "tiers": dict(tiers), "reasons": dict(reasons), "reused": reused, "cut_off": cut_off}
    record_property("replay", figures)
    assert (code, document["identical"], document["missing"]) == (0, len(world.sent), 0), document
    assert min(tiers["model"], tiers["fallback"]) > 10, tiers
    assert {"throttled", "invalid_answer", "deadline"} <= set(reasons), reasons
    assert min(reused, cut_off) > 0
    told = {each["value"] for of in decided for each in of["evidence"] if each["name"] == FIGURE}
    assert told
    assert told <= {"7", "8"}
    assert world.model_calls() == calls
    assert world.ends() == ends
    left = [topic for topic in world.admin.topics() if topic.startswith(f"replay-{world.name}-same")]
    assert sorted(left) == [document["topic"], f"{document['topic']}.dlq"]
    code, refused = world.replay("same")
    assert code == 1
    assert "take another name" in refused["errors"][0]


def test_other_agents_differ_and_answers_that_are_gone_fall_back(world: Recorded) -> None:
    enricher = world.enricher("enricher-0")
    with running(enricher):
        world.produce(1_500)
        eventually(world.all_decided, 90)
    models = sum(event["agent_metadata"]["tier"] == "model" for event in world.decided())
    code, other = world.replay("other", "--expect-identical", MODELS__PRIMARY__ID="us.amazon.nova-pro-v1:0")
    assert (code, other["identical"], other["missing"], other["not_recorded"]) == (1, 0, 0, 0), other
    # The very answers of the first time are taken: only what names the version differs, the prompts' nonce among it.
    assert set(other["fields"]) <= {"agent_version", "prompt_hash"}
    nothing = f"{world.name}.{TOPICS['results_topic']}"
    world.admin.delete(nothing)
    world.admin.create(nothing, partitions=4, config={})
    code, gone = world.replay("gone")
    assert (code, gone["not_recorded"]) == (0, models), gone
    assert gone["identical"] == len(world.sent) - models
    calls = world.model_calls()
    code, paid = world.replay("paid", "--live-model", "1.5")
    assert (code, paid["missing"], paid["not_recorded"]) == (0, 0, 0), paid
    assert world.model_calls() > calls
