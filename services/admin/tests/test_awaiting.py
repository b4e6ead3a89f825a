from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from headgate_admin import awaiting
from headgate_admin.awaiting import demand, missing, topics_of
from headgate_admin.schemas.plan import apply_subjects, plan_subjects, read_subjects
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.testing.registry import MemoryRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

CONTRACTS = Contracts.load()
USED = topics_of("reviews", CONTRACTS)


@dataclass
class MemoryTopic:
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def complete() -> tuple[dict[str, MemoryTopic], MemoryRegistry]:
    registry = MemoryRegistry()
    apply_subjects(plan_subjects(CONTRACTS, read_subjects(CONTRACTS, registry)), registry)
    return {topic.topic: MemoryTopic(topic.partitions) for topic in CONTRACTS.topics.values()}, registry


def test_a_service_uses_the_topics_whose_contracts_name_it() -> None:
    names = [topic.topic for topic in USED]
    assert sorted(names) == ["enriched-events", "review-outcomes", "review-outcomes.dlq", "review-revisions"]


def test_a_service_that_no_contract_names_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'enrichr': name one of .*enricher"):
        topics_of("enrichr", CONTRACTS)


def test_nothing_is_missing_where_topics_and_schemas_are_there() -> None:
    topics, registry = complete()
    assert missing(USED, CONTRACTS, topics, registry) == []


def test_topics_partitions_and_schemas_that_are_not_there_are_named() -> None:
    topics, _ = complete()
    del topics["review-revisions"]
    topics["review-outcomes"].partitions -= 1
    lacks = missing(USED, CONTRACTS, topics, MemoryRegistry())
    assert {"topic review-revisions", "partition 3 of topic review-outcomes"} <= set(lacks)
    assert "schema review_revision.v1 in review-revisions-value" in lacks


def test_what_is_missing_is_named_with_the_command_that_makes_it() -> None:
    with pytest.raises(UnavailableError, match=r"there is no topic a, topic b: has `headgate setup` run"):
        demand(["topic a", "topic b"])
    demand([])


@pytest.mark.parametrize(("there", "code"), [(True, 0), (False, 3)])
def test_the_exit_code_says_whether_all_is_there(monkeypatch: pytest.MonkeyPatch, there: bool, code: int) -> None:  # noqa: FBT001
    topics, registry = complete()
    monkeypatch.setattr(awaiting, "connect", lambda _: (lambda: topics if there else {}, registry))
    result = CliRunner().invoke(awaiting.app, ["enricher", "--wait", "0", "--json"])
    assert result.exit_code == code
    assert ("topics" if there else "errors") in json.loads(result.stdout)
