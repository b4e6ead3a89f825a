from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.topics import cli
from headgate_admin.topics.plan import (
    AddPartitions,
    AlterConfig,
    Create,
    Refusal,
    apply_topics,
    plan_topics,
    wanted_config,
)
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_schemas import Contracts, TopicContract
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTRACTS = Contracts.load()
RAW = CONTRACTS.topic("raw-events")
COMPACTED = CONTRACTS.topic("enricher-progress")


SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "max.message.bytes": "1048588",
    "segment.bytes": "1073741824",
    "message.timestamp.type": "CreateTime",
}


@dataclass
class MemoryTopic:
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass
class MemoryCluster:
    """Topics in memory; ``behind`` calls of ``topics`` still show what was before, as brokers do."""

    current: dict[str, MemoryTopic] = field(default_factory=dict)
    created_with: list[int] = field(default_factory=list)
    unavailable: bool = False

    def topics(self) -> Mapping[str, MemoryTopic]:
        if self.unavailable:
            raise UnavailableError("cannot list topics: no broker answers")
        return self.current

    def create(self, topic: str, *, partitions: int, config: Mapping[str, str], replication_factor: int = -1) -> None:
        if topic in self.current:
            raise RejectedError(f"cannot create topic {topic}: it exists")
        self.created_with.append(replication_factor)
        self.current[topic] = MemoryTopic(partitions, dict(config))

    def add_partitions(self, topic: str, total: int) -> None:
        if total <= self.current[topic].partitions:
            raise RejectedError("cannot add partitions")
        self.current[topic].partitions = total

    def alter_config(self, topic: str, config: Mapping[str, str]) -> None:
        self.current[topic].config.update(config)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> MemoryCluster:
    memory = MemoryCluster()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "connect", lambda _settings: memory)
    return memory


def headgate_topics(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli.app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_missing_topic_is_created_with_its_retention_and_clean_up() -> None:
    assert plan_topics([RAW], {}) == [Create("raw-events", 4, SETTINGS)]


def test_partitions_are_added_and_settings_altered() -> None:
    state = MemoryTopic(2, {"retention.ms": "1000", "min.insync.replicas": "2"})
    assert plan_topics([RAW], {"raw-events": state}) == [
        AddPartitions("raw-events", 2, 4),
        AlterConfig(
            "raw-events",
            dict.fromkeys(SETTINGS) | {"retention.ms": "1000"},
            SETTINGS,
        ),
    ]


def test_fewer_partitions_are_refused_with_what_to_do() -> None:
    state = MemoryTopic(9, wanted_config(COMPACTED))
    [refusal] = plan_topics([COMPACTED], {"enricher-progress": state})
    assert isinstance(refusal, Refusal)
    assert "has 9 partitions and its contract says 4" in refusal.reason
    assert "Write partitions: 9 into enricher-progress.yaml" in refusal.reason


def test_the_order_of_clean_up_policies_is_no_difference() -> None:
    both = RAW.model_copy(update={"cleanup_policy": "compact,delete"})
    state = MemoryTopic(4, SETTINGS | {"cleanup.policy": "delete,compact"})
    assert plan_topics([both], {"raw-events": state}) == []


def test_topics_without_a_contract_are_left_alone() -> None:
    assert plan_topics([], {"other": MemoryTopic(1)}) == []


@given(
    states=st.dictionaries(
        st.sampled_from(sorted(CONTRACTS.topics)),
        st.builds(
            MemoryTopic,
            st.integers(1, 4),
            st.dictionaries(st.sampled_from(["retention.ms", "cleanup.policy", "x"]), st.sampled_from(["1", "delete"])),
        ),
    )
)
def test_applying_a_plan_leaves_nothing_to_plan(states: dict[str, MemoryTopic]) -> None:
    desired: list[TopicContract] = [topic for topic in CONTRACTS.topics.values() if topic.partitions == 4]
    cluster = MemoryCluster({name: state for name, state in states.items() if CONTRACTS.topic(name) in desired})
    apply_topics(desired, plan_topics(desired, cluster.topics()), cluster, 1)
    assert plan_topics(desired, cluster.topics()) == []


def test_apply_twice_changes_nothing_the_second_time(cluster: MemoryCluster) -> None:
    code, first = headgate_topics("apply", "--replication-factor", "3")
    assert (code, len(first["changes"])) == (0, len(CONTRACTS.topics))
    assert cluster.created_with == [3] * len(CONTRACTS.topics)
    assert headgate_topics("apply") == (0, {"applied": True, "changes": []})
    assert headgate_topics("diff") == (0, {"applied": False, "changes": []})


def test_a_dry_run_shows_the_changes_and_makes_none(cluster: MemoryCluster) -> None:
    code, document = headgate_topics("apply", "--dry-run")
    assert (code, document["applied"], cluster.current) == (0, False, {})
    assert document["changes"][0]["action"] == "create"


def test_diff_says_by_its_exit_code_that_there_is_a_difference(cluster: MemoryCluster) -> None:
    code, document = headgate_topics("diff")
    assert (code, len(document["changes"])) == (1, len(CONTRACTS.topics))
    assert cluster.current == {}


def test_a_refused_change_holds_all_others_back(cluster: MemoryCluster) -> None:
    cluster.current["raw-events"] = MemoryTopic(64, SETTINGS)
    code, document = headgate_topics("apply")
    assert code == 1
    assert [change["action"] for change in document["changes"] if change["topic"] == "raw-events"] == ["refused"]
    assert list(cluster.current) == ["raw-events"]


def test_brokers_that_do_not_answer_give_their_own_exit_code(cluster: MemoryCluster) -> None:
    cluster.unavailable = True
    assert headgate_topics("diff") == (3, {"errors": ["cannot list topics: no broker answers"]})


def test_people_get_a_table(cluster: MemoryCluster) -> None:
    result = CliRunner().invoke(cli.app, ["apply"])
    assert result.exit_code == 0
    assert f"{len(CONTRACTS.topics)} changes made" in result.stdout
    assert "enricher-progress" in result.stdout.replace("\n", "")
    assert len(cluster.current) == len(CONTRACTS.topics)


def test_list_shows_every_contract_and_asks_no_broker(cluster: MemoryCluster) -> None:
    cluster.unavailable = True
    code, document = headgate_topics("list")
    assert code == 0
    assert {topic["topic"]: topic["owner"] for topic in document["topics"]}["raw-events"] == "data-platform"
