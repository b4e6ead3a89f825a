from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.schemas import cli
from headgate_admin.schemas.plan import Register, SetCompatibility, SubjectState, field_changes, plan_subjects
from headgate_runtime.errors import RejectedError
from headgate_runtime.testing.registry import MemoryRegistry
from headgate_schemas import Contracts
from headgate_schemas.records import parse_record
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

CONTRACTS = Contracts.load()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryRegistry:
    memory = MemoryRegistry()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "connect", lambda _settings: memory)
    return memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped contracts with a second version of base_event that has one more field."""
    for part in ("avro", "topics", "sets", "examples"):
        shutil.copytree(CONTRACTS.directory / part, tmp_path / part)
    schema = json.loads((tmp_path / "avro/base_event.v1.avsc").read_text())
    schema["fields"].append({"name": "region", "type": ["null", "string"], "default": None, "doc": "Where."})
    (tmp_path / "avro/base_event.v2.avsc").write_text(json.dumps(schema))
    return tmp_path


def headgate_schemas(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli.app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def actions(changes: list[Any], subject: str) -> list[str]:
    return [
        change.record if isinstance(change, Register) else change.after
        for change in changes
        if change.subject == subject
    ]


def states(**raw_events: Any) -> dict[str, SubjectState]:
    known: dict[str, SubjectState] = {}
    for topic in CONTRACTS.topics.values():
        versions = len(CONTRACTS.versions(topic.record))
        known[topic.subject] = SubjectState(topic.compatibility, versions, frozenset(range(1, versions + 1)))
    return known | {"raw-events-value": SubjectState(**raw_events)}


def test_a_new_subject_gets_its_first_version_then_its_level_then_the_others(folder: Path) -> None:
    changes = plan_subjects(Contracts.load(folder), states(compatibility=None, versions=0, registered=frozenset()))
    assert actions(changes, "raw-events-value") == ["base_event.v1", "FULL_TRANSITIVE", "base_event.v2"]
    assert len(changes) == 3


def test_an_existing_subject_gets_its_level_before_another_version(folder: Path) -> None:
    actual = states(compatibility="BACKWARD", versions=1, registered=frozenset({1}))
    assert plan_subjects(Contracts.load(folder), actual) == [
        SetCompatibility("raw-events-value", "BACKWARD", "FULL_TRANSITIVE"),
        Register(
            "raw-events-value",
            "base_event.v2",
            ("+ region: null | string",),
            Contracts.load(folder).record("base_event").text,
        ),
    ]


def test_field_changes_name_what_came_went_and_changed() -> None:
    def record(version: int, *fields: tuple[str, Any]) -> Any:
        parts = [{"name": name, "type": avro_type} for name, avro_type in fields]
        return parse_record("r", version, {"type": "record", "name": "r", "fields": parts})

    enum = {"type": "enum", "name": "e", "symbols": ["A"]}
    old = record(1, ("a", "int"), ("b", "string"), ("c", {"type": "array", "items": "int"}))
    new = record(2, ("a", "long"), ("c", {"type": "array", "items": "int"}), ("d", ["null", enum]))
    assert field_changes(old, new) == ('+ d: null | enum ["A"]', "- b: string", "~ a: int -> long")


def test_register_twice_changes_nothing_the_second_time(registry: MemoryRegistry) -> None:
    code, document = headgate_schemas("register")
    changes = sum(len(CONTRACTS.versions(topic.record)) + 1 for topic in CONTRACTS.topics.values())
    assert (code, len(document["changes"])) == (0, changes)  # each version, and a level
    assert registry.compatibility("raw-events-value") == "FULL_TRANSITIVE"
    assert all(registry.versions(topic.subject) for topic in CONTRACTS.topics.values())
    assert headgate_schemas("register") == (0, {"applied": True, "changes": []})


def test_a_dry_run_shows_the_fields_and_registers_nothing(registry: MemoryRegistry, folder: Path) -> None:
    assert headgate_schemas("register")[0] == 0
    code, document = headgate_schemas("register", "--dry-run", "--contracts", str(folder))
    assert (code, document["applied"]) == (0, False)
    assert document["changes"] == [
        {
            "action": "register",
            "subject": "raw-events-value",
            "record": "base_event.v2",
            "fields": ["+ region: null | string"],
        }
    ]
    assert registry.versions("raw-events-value") == [1]
    assert headgate_schemas("register", "--contracts", str(folder))[0] == 0
    assert registry.versions("raw-events-value") == [1, 2]


def test_a_refusal_names_subject_and_record_and_says_what_to_do(
    registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_subject: str, _text: str) -> int:
        raise RejectedError("the schema registry refused: 409")

    monkeypatch.setattr(registry, "register", refuse)
    code, document = headgate_schemas("register")
    assert code == 1
    first = next(iter(CONTRACTS.topics.values()))
    assert document["errors"][0].startswith(f"{first.subject}: {first.record}.v1 was not registered")
    assert "'headgate schemas check' names the fields" in document["errors"][0]


def test_a_registry_that_does_not_answer_gives_its_own_exit_code(registry: MemoryRegistry) -> None:
    registry.available = False
    assert headgate_schemas("register") == (3, {"errors": ["the schema registry does not answer"]})


def test_check_counts_what_it_checked(registry: MemoryRegistry) -> None:
    code, document = headgate_schemas("check")
    assert (code, document["errors"], document["topics"]) == (0, [], len(CONTRACTS.topics))
    assert registry.calls == 0


def test_check_reports_every_problem(folder: Path) -> None:
    schema = json.loads((folder / "avro/base_event.v2.avsc").read_text())
    del schema["fields"][-1]["default"], schema["fields"][-1]["doc"]
    (folder / "avro/base_event.v2.avsc").write_text(json.dumps(schema))
    code, document = headgate_schemas("check", "--contracts", str(folder))
    assert code == 1
    undocumented, breaking, *_ = document["errors"]
    assert undocumented == "base_event.v2.avsc: region: has no doc"
    assert breaking == (
        "base_event.v2 cannot read what base_event.v1 wrote: region: is not written and has no default; "
        "breaks readers of raw-events (enricher, admin) from then on, on what it keeps of v1"
    )


def test_check_refuses_contracts_that_cannot_be_loaded(folder: Path) -> None:
    (folder / "topics/raw-events.yaml").write_text("topic: raw-events\n")
    code, document = headgate_schemas("check", "--contracts", str(folder))
    assert code == 1
    assert "raw-events.yaml: owner: Field required" in document["errors"]


def test_list_shows_versions_and_personal_data(folder: Path) -> None:
    code, document = headgate_schemas("list", "--contracts", str(folder))
    assert code == 0
    events = [record for record in document["records"] if record["record"] == "base_event"]
    assert [record["version"] for record in events] == [1, 2]
    assert events[0]["pii"]["payload.attributes.user_id"] == "direct"
    assert events[0]["topics"] == ["raw-events"]
