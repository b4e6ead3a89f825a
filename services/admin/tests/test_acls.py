from __future__ import annotations

import json
from typing import Any

import pytest
from headgate_admin.topics import acl_cli, cli
from headgate_admin.topics.acls import plan_acls, services_of, wanted_rules
from headgate_runtime.kafka.acls import AclRule
from headgate_schemas import Contracts
from typer.testing import CliRunner

TOPICS = Contracts.load().topics.values()
PRINCIPAL = "User:headgate-{service}"
RULES = wanted_rules(TOPICS, PRINCIPAL)


def named(service: str, operation: str, resource: str = "topic") -> set[str]:
    principal = PRINCIPAL.format(service=service)
    return {
        rule.name
        for rule in RULES
        if (rule.principal, rule.operation, rule.resource) == (principal, operation, resource)
    }


@pytest.mark.parametrize("service", services_of(TOPICS))
def test_a_service_may_read_and_write_what_its_contracts_say_and_see_just_that(service: str) -> None:
    replays = {"replay-"} if service == "admin" else set()
    reads = {topic.topic for topic in TOPICS if service in topic.consumers}
    writes = {topic.topic for topic in TOPICS if service in topic.producers}
    everything = {topic.topic for topic in TOPICS} if service == "admin" else set()
    assert named(service, "READ") == reads | replays
    assert named(service, "WRITE") == writes | replays
    assert named(service, "DESCRIBE") == reads | writes | replays | everything


def test_a_service_has_groups_and_transactional_ids_of_its_own_name() -> None:
    assert named("enricher", "READ", "group") == {"enricher", "enricher-"}
    assert named("enricher", "WRITE", "transactional_id") == {"enricher-"}
    assert named("producer", "READ", "group") == named("producer", "WRITE", "transactional_id") == set()


def test_only_the_command_line_keeps_topics_and_rules() -> None:
    keeping = {rule for rule in RULES if rule.resource == "cluster" or rule.operation in {"CREATE", "ALTER", "DELETE"}}
    assert {rule.principal for rule in keeping} == {"User:headgate-admin"}
    assert {rule.operation for rule in RULES if rule.resource == "cluster"} == {"ALTER", "DESCRIBE"}
    assert named("admin", "DELETE") == {"replay-"}


def test_what_is_missing_comes_before_what_is_too_much_goes() -> None:
    one, two = sorted(RULES)[:2]
    changes = plan_acls({one}, {two})
    assert [(change.action, change.rule) for change in changes] == [("allow", one), ("take back", two)]
    assert plan_acls(RULES, set(RULES)) == []


class MemoryAcls:
    """A cluster's rules in memory."""

    def __init__(self) -> None:
        self.current: set[AclRule] = set()

    def rules(self, principals: list[str]) -> set[AclRule]:
        return {rule for rule in self.current if rule.principal in principals}

    def add(self, rules: list[AclRule]) -> None:
        self.current |= set(rules)

    def remove(self, rules: list[AclRule]) -> None:
        self.current -= set(rules)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> MemoryAcls:
    memory = MemoryAcls()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(acl_cli, "connect", lambda _settings: memory)
    return memory


def headgate_acls(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli.app, ["acls", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_apply_makes_the_rules_once_and_leaves_other_principals_alone(cluster: MemoryAcls) -> None:
    other = AclRule("User:somebody", "topic", "raw-events", "literal", "READ")
    excess = AclRule("User:headgate-writer", "topic", "raw-events", "literal", "ALL")
    cluster.current = {other, excess}
    assert headgate_acls("apply", "--dry-run")[0] == 0
    assert cluster.current == {other, excess}
    code, document = headgate_acls("apply")
    assert (code, document["applied"], document["changes"][-1]["action"]) == (0, True, "take back")
    assert cluster.current == RULES | {other}
    assert headgate_acls("diff") == (0, {"applied": False, "changes": []})


def test_the_name_of_a_principal_is_a_setting(cluster: MemoryAcls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_PRINCIPAL", "User:CN={service}.apps")
    assert headgate_acls("apply")[0] == 0
    assert "User:CN=writer.apps" in {rule.principal for rule in cluster.current}
    monkeypatch.setenv("HEADGATE_ADMIN_PRINCIPAL", "User:everybody")
    assert headgate_acls("diff")[0] == 2
