from __future__ import annotations

import json
from typing import Any

import pytest
from headgate_admin.topics import cli
from headgate_admin.topics.losses import Losses
from headgate_admin.topics.plan import (
    AddPartitions,
    AlterConfig,
    Create,
    Refusal,
    apply_topics,
    plan_topics,
    wanted_config,
)
from headgate_schemas import Contracts, TopicContract
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from .cluster import DAY_MS, NOW_MS, MemoryCluster, MemoryTopic

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


def losses_of(topic: MemoryTopic, contract: TopicContract) -> list[str]:
    """What a change of the topic to its contract would lose, with nothing else planned."""
    changes = plan_topics(
        [contract],
        {contract.topic: topic},
        losses=Losses(MemoryCluster({contract.topic: topic}), NOW_MS).of,
    )
    refused = [change.reason for change in changes if isinstance(change, Refusal)]
    assert not (refused and any(isinstance(change, AlterConfig) for change in changes))
    return refused


@pytest.mark.parametrize(
    ("ages_days", "kept_days", "lost"),
    [([], 30, 0), ([9, 8, 3], 30, 2), ([9, 8, 3], -1, 2), ([5, 3], 30, 0), ([9, 8, 3], 7, 0)],
)
def test_a_shorter_retention_is_refused_where_records_are_older(
    ages_days: list[int], kept_days: int, lost: int
) -> None:
    kept_ms = kept_days if kept_days < 0 else kept_days * DAY_MS
    ages = [days * DAY_MS for days in ages_days]
    reasons = losses_of(MemoryTopic(4, SETTINGS | {"retention.ms": str(kept_ms)}, ages_ms=ages), RAW)  # keeps 7 days
    assert [reason.split(" are older")[0] for reason in reasons] == [f"up to {lost} records"] * bool(lost)


def test_compaction_is_refused_where_there_are_records_and_so_is_its_end_where_some_are_old() -> None:
    compacted = RAW.model_copy(update={"cleanup_policy": "compact"})
    assert losses_of(MemoryTopic(4, SETTINGS), compacted) == []
    [reason] = losses_of(MemoryTopic(4, SETTINGS, ages_ms=[2, 1]), compacted)
    assert "of up to 2 records all but the last of each key" in reason
    state = MemoryTopic(4, SETTINGS | {"cleanup.policy": "compact"}, ages_ms=[9 * DAY_MS, 1])
    [reason] = losses_of(state, RAW)
    assert "up to 1 records are older" in reason


def test_what_would_delete_records_is_done_only_by_force(cluster: MemoryCluster) -> None:
    cluster.current["raw-events"] = MemoryTopic(4, SETTINGS | {"retention.ms": "-1"}, ages_ms=[NOW_MS])
    code, document = headgate_topics("apply")
    assert (code, document["applied"]) == (1, False)
    assert "add --force" in next(each for each in document["changes"] if each["action"] == "refused")["reason"]
    assert headgate_topics("apply", "--force")[0] == 0
    assert cluster.current["raw-events"].config["retention.ms"] == SETTINGS["retention.ms"]


def test_replicas_in_sync_are_the_operators_word_for_all_topics(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_MIN_INSYNC_REPLICAS", "2")
    assert headgate_topics("apply")[0] == 0
    assert {topic.config["min.insync.replicas"] for topic in cluster.current.values()} == {"2"}
    assert headgate_topics("diff")[0] == 0


def test_more_replicas_in_sync_than_there_are_would_stop_every_write_and_are_refused() -> None:
    [refusal, _] = plan_topics([RAW], {"raw-events": MemoryTopic(4, SETTINGS, 1)}, min_insync=2)
    assert isinstance(refusal, Refusal)
    assert "has 1 replicas" in refusal.reason


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
