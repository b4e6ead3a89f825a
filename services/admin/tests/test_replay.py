"""What a replay is told, made and compared; the whole of it runs against real parts in tests/integration."""

from __future__ import annotations

import copy
import json
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_admin.config import AdminSettings
from headgate_admin.main import make_app
from headgate_admin.replay import process
from headgate_admin.replay.comparison import Comparison
from headgate_admin.replay.process import EnricherProcess, environment
from headgate_admin.replay.stretch import find_stretch, replay_topics
from headgate_runtime.avro import Encoder
from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.kafka.admin import TopicInfo
from headgate_runtime.records import Record, TopicPartition
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTRACTS = Contracts.load()
TOPIC = CONTRACTS.topic("enriched-events")
RECORD = CONTRACTS.record(TOPIC.record)
EXAMPLES = CONTRACTS.examples(RECORD.name)
PLACES = [TopicPartition(TOPIC.topic, number) for number in range(2)]


class MemoryAdmin:
    """A cluster with decided events in two partitions."""

    def __init__(self, *topics: str) -> None:
        self.known = dict.fromkeys((TOPIC.topic, *topics), TopicInfo("id", 2, 1, {}))
        self.configs: dict[str, Mapping[str, str]] = {}

    def topics(self) -> dict[str, TopicInfo]:
        return dict(self.known)

    def create(self, topic: str, *, partitions: int, config: Mapping[str, str], replication_factor: int) -> None:
        if topic == "replay-full.results":
            raise RejectedError("the brokers refuse")
        assert replication_factor == 3
        self.known[topic] = TopicInfo("id", partitions, 3, {})
        self.configs[topic] = config

    def delete(self, topic: str) -> None:
        if topic == "replay-stuck.memory":
            raise RejectedError("not now")
        del self.known[topic]

    def first_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 10)

    def high_watermarks(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 90)

    def offsets_at(self, places: list[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        return {places[0]: timestamp_ms}


def made(admin: MemoryAdmin) -> list[str]:
    return sorted(topic.partition("replay-")[2] for topic in admin.known if topic != TOPIC.topic)


def topics_of(admin: MemoryAdmin, name: str) -> Any:
    return replay_topics(cast("Any", admin), CONTRACTS, TOPIC.topic, f"replay-{name}", replication_factor=3)


def test_a_stretch_is_all_there_is_or_what_lies_between_two_times() -> None:
    admin = cast("Any", MemoryAdmin())
    whole = find_stretch(admin, TOPIC.topic, from_ms=None, to_ms=None)
    assert (whole.starts, whole.ends) == (dict.fromkeys(PLACES, 10), dict.fromkeys(PLACES, 90))
    part = find_stretch(admin, TOPIC.topic, from_ms=20, to_ms=70)
    assert (part.starts, part.ends) == ({PLACES[0]: 20, PLACES[1]: 90}, {PLACES[0]: 70, PLACES[1]: 90})
    with pytest.raises(RejectedError, match="No topic elsewhere"):
        find_stretch(admin, "elsewhere", from_ms=None, to_ms=None)


def test_a_replay_leaves_what_was_decided_and_what_could_not_be() -> None:
    admin = MemoryAdmin()
    with topics_of(admin, "x"):
        assert made(admin) == ["x", "x.dlq", "x.memory", "x.progress", "x.results"]
        assert {info.partitions for info in admin.known.values()} == {2}
        assert admin.configs["replay-x"]["max.message.bytes"] == str(TOPIC.max_message_bytes)
        assert admin.configs["replay-x.memory"]["cleanup.policy"] == "compact"
    assert made(admin) == ["x", "x.dlq"]


def test_a_replay_that_fails_leaves_nothing() -> None:
    admin = MemoryAdmin()
    with pytest.raises(RuntimeError, match="it broke"), topics_of(admin, "x"):
        raise RuntimeError("it broke")
    assert made(admin) == []
    with pytest.raises(RejectedError, match="the brokers refuse"), topics_of(admin, "full"):
        pass
    assert made(admin) == []


def test_a_topic_that_cannot_be_deleted_does_not_hide_the_result() -> None:
    admin = MemoryAdmin()
    with topics_of(admin, "stuck"):
        pass
    assert made(admin) == ["stuck", "stuck.dlq", "stuck.memory"]


def test_nothing_is_overwritten() -> None:
    admin = MemoryAdmin("replay-x.dlq")
    with (
        pytest.raises(RejectedError, match=r"There is replay-x\.dlq already: take another name"),
        topics_of(admin, "x"),
    ):
        pass
    assert made(admin) == ["x.dlq"]


def test_the_enricher_gets_its_own_settings_and_those_of_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AGENTS": "{}", "GROUP_ID": "live", "TRACING__ENDPOINT": "http://spans:4318"}.items():
        monkeypatch.setenv(f"HEADGATE_ENRICHER_{name}", value)
    settings = AdminSettings.model_validate(
        {"kafka": {"bootstrap_servers": "kafka:1", "properties": {"security.protocol": "SSL"}}, "contracts_dir": "own"}
    )
    found = environment(settings, "replay-x", {0: 12, 1: 0}, 5_000_000)
    own = {name.removeprefix("HEADGATE_ENRICHER_"): value for name, value in found.items() if "_ENRICHER_" in name}
    assert own["AGENTS"] == "{}"
    assert (own["ROLE"], own["GROUP_ID"], own["REPLAY__TOPIC"]) == ("replay", "replay-x", "replay-x")
    assert (json.loads(own["REPLAY__ENDS"]), own["REPLAY__MOST_MICRODOLLARS"]) == ({"0": 12, "1": 0}, "5000000")
    assert json.loads(own["KAFKA__PROPERTIES"]) == {"security.protocol": "SSL"}
    assert own["CONTRACTS_DIR"].endswith("/own")
    assert "TRACING__ENDPOINT" not in own
    assert "HEADGATE_ENRICHER_REPLAY__MOST_MICRODOLLARS" not in environment(settings, "replay-x", {}, None)


def test_an_enricher_that_ends_early_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headgate_test_broken.py").write_text("raise SystemExit('no topic')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(process, "MODULE", "headgate_test_broken")
    settings = {"PYTHONPATH": str(tmp_path)}
    with (
        EnricherProcess(settings, tmp_path / "logs" / "x.log") as enricher,
        pytest.raises(RejectedError, match=r"ended with code 1; end of .*x\.log:\nno topic"),
    ):
        enricher.wait(20)


def test_an_enricher_is_stopped_at_the_end_also_where_it_does_not_want_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nsignal.pause()"
    )
    (tmp_path / "headgate_test_stubborn.py").write_text(stubborn)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(process, "MODULE", "headgate_test_stubborn")
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 0.1)
    log = tmp_path / "x.log"
    with EnricherProcess({"PYTHONPATH": str(tmp_path)}, log) as enricher:
        while not log.read_bytes():
            enricher.wait(0.01)
    assert enricher.exit_code == -9


def test_without_an_enricher_it_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MODULE", "headgate_test_absent")
    with pytest.raises(ConfigurationError, match="The enricher is not installed here"):
        EnricherProcess({}, tmp_path / "x.log")
    assert sys.executable


class Compared:
    """A comparison, fed by hand."""

    def __init__(self) -> None:
        registry = MemoryRegistry()
        registry.register(TOPIC.subject, RECORD.text)
        self.encoder = Encoder(registry, TOPIC.subject, RECORD)
        self.comparison = Comparison(TOPIC, RECORD, registry)

    def decided(self, offset: int, example: str = "model_flag", value: bytes | None = None) -> None:
        encoded = value or self.encoder.encode(EXAMPLES[example])
        self.comparison.take_decided(Record(*PLACES[0], offset, 0, b"k", encoded))

    def replayed(self, offset: int, example: str = "model_flag", **metadata: Any) -> None:
        event = copy.deepcopy(EXAMPLES[example])
        event["agent_metadata"] |= metadata
        headers = (("headgate-replayed-from", f"0/{offset}".encode()),)
        self.comparison.take_replayed(Record("replay-x", 1, 0, 0, b"k", self.encoder.encode(event), headers))


def test_decisions_are_compared_by_place_and_what_differs_is_named() -> None:
    compared = Compared()
    for offset in (1, 3, 4, 7, 8):
        compared.decided(offset)
    compared.decided(9, "human_override")
    compared.decided(10, value=b"poison")
    compared.replayed(3)
    compared.replayed(1)
    compared.replayed(4, decision="allow", risk_score=0.1)
    compared.replayed(7, tier="fallback", fallback_reason="not_recorded")
    compared.replayed(7)
    compared.replayed(99)
    assert compared.comparison.last == {PLACES[0]: 11}
    event_id = EXAMPLES["model_flag"]["event_id"]
    assert compared.comparison.document() == {
        "events": 5,
        "identical": 2,
        "different": 2,
        "missing": 1,
        "not_recorded": 1,
        "unreadable": 1,
        "fields": {"decision": 1, "risk_score": 1, "tier": 1, "fallback_reason": 1},
        "decisions": {"flag_high_risk -> allow": 1},
        "examples": [
            {"event_id": event_id, "fields": ["decision", "risk_score"]},
            {"event_id": event_id, "fields": ["tier", "fallback_reason"]},
        ],
    }
    compared.comparison.close()


def test_many_decisions_are_compared_on_disk() -> None:
    compared = Compared()
    for offset in range(2_500):
        compared.decided(offset)
    for offset in range(0, 2_500, 2):
        compared.replayed(offset)
    document = compared.comparison.document()
    assert (document["events"], document["identical"], document["missing"]) == (2_500, 1_250, 1_250)
    compared.comparison.close()


@pytest.mark.parametrize(
    ("text", "complaint"), [("yesterday", "is no ISO 8601 time"), ("2026-11-25T10:00:00", "its zone")]
)
def test_a_time_that_is_none_is_wrong_usage(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(make_app(), ["replay", "x", "--from", text])
    assert result.exit_code == 2
    assert complaint in result.stderr
