from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastavro.validation import validate
from headgate_schemas import (
    ContractError,
    Contracts,
    RecordSchema,
    check_contracts,
    compile_rules,
    incompatibilities,
    project,
    strip_logical_types,
)
from headgate_schemas.records import parse_record, walk_fields

SHIPPED = Path(__file__).parents[1]
PARTS = ("avro", "topics", "sets", "examples")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in PARTS:
        shutil.copytree(SHIPPED / part, tmp_path / part)
    return tmp_path


def change_topic(folder: Path, name: str = "raw-events", **changes: Any) -> None:
    path = folder / "topics" / f"{name}.yaml"
    data = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not ...}))


def release(folder: Path, record: str, version: int, schema: dict[str, Any]) -> None:
    (folder / "avro" / f"{record}.v{version}.avsc").write_text(json.dumps(schema))


def base_event(folder: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((folder / "avro" / "base_event.v1.avsc").read_text())
    return schema


def test_the_shipped_contracts_may_be_released() -> None:
    contracts = Contracts.load()
    assert contracts.directory == SHIPPED
    assert check_contracts(contracts) == []


@pytest.mark.parametrize("name", Contracts.load().records)
def test_examples_are_of_their_record_and_keep_its_topics_rules(name: str) -> None:
    contracts = Contracts.load()
    examples = contracts.examples(name)
    assert len(examples) >= 2
    for topic in contracts.topics.values():
        check = compile_rules(topic)
        for example in examples.values():
            assert validate(example, contracts.record(name).raw, strict=True)
            assert topic.record != name or check(example) is None


def test_enriched_examples_show_every_tier() -> None:
    examples = Contracts.load().examples("agent_enriched_event").values()
    assert {example["agent_metadata"]["tier"] for example in examples} == {"rules", "model", "fallback", "human"}


def test_a_record_is_read_without_logical_types_and_knows_its_personal_data() -> None:
    record = Contracts.load().record("base_event")
    assert "logicalType" in record.text
    assert "logicalType" not in json.dumps(record.raw)
    assert json.loads(record.text) == record.schema
    assert record.pii["payload.attributes.user_id"] == "direct"
    assert record.label == "base_event.v1"


def test_logical_types_are_stripped_inside_unions_arrays_and_maps() -> None:
    timestamp = {"type": "long", "logicalType": "timestamp-millis"}
    schema = {"type": "array", "items": {"type": "map", "values": ["null", timestamp]}}
    assert strip_logical_types(schema) == {
        "type": "array",
        "items": {"type": "map", "values": ["null", {"type": "long"}]},
    }


def nested() -> RecordSchema:
    inner = {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "bytes", "pii": "direct"}]}
    fields = [
        {"name": "maybe", "type": ["null", inner], "default": None},
        {"name": "again", "type": "inner"},
        {"name": "many", "type": {"type": "array", "items": "inner"}},
        {
            "name": "tags",
            "type": {
                "type": "map",
                "values": {
                    "type": "record",
                    "name": "tag",
                    "fields": [{"name": "y", "type": "string", "pii": "quasi"}],
                },
            },
        },
    ]
    return parse_record("outer", 1, {"type": "record", "name": "a.outer", "fields": fields})


def test_a_field_is_found_through_nullable_records_and_names() -> None:
    record = nested()
    assert record.field_type("maybe.x") == "bytes"
    assert record.field_type("again.x") == "bytes"
    assert [record.field_type(path) for path in ("many.x", "nothing", "maybe.x.y", "again.z")] == [None] * 4


def test_personal_data_is_found_in_maps_and_unions_and_wherever_a_type_is_named() -> None:
    assert nested().pii == {"maybe.x": "direct", "again.x": "direct", "many[].x": "direct", "tags{}.y": "quasi"}


def test_a_record_that_goes_on_where_another_ends_starts_with_it() -> None:
    contracts = Contracts.load()
    base, decided, asked, answered = (
        contracts.record(name) for name in ("base_event", "agent_enriched_event", "decision_review", "review_outcome")
    )
    assert answered.starts_with(asked)
    assert asked.starts_with(decided)
    assert decided.starts_with(base)
    assert not base.starts_with(decided)
    fields = decided.schema["fields"]
    assert not parse_record(decided.name, 2, decided.schema | {"fields": fields[::-1]}).starts_with(base)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    contracts = Contracts.load()
    with pytest.raises(ContractError, match=r"no topic 'raw'; add topics/raw.yaml or take one of .*raw-events"):
        contracts.topic("raw")
    with pytest.raises(ContractError, match=r"no record 'event'; .*base_event"):
        contracts.record("event")


def test_versions_are_given_oldest_first_and_the_newest_is_the_record(folder: Path) -> None:
    schema = base_event(folder)
    for version in range(2, 12):
        release(folder, "base_event", version, schema)
    contracts = Contracts.load(folder)
    assert [record.version for record in contracts.versions("base_event")] == list(range(1, 12))
    assert contracts.record("base_event").version == 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"owner": ...}, "raw-events.yaml: owner: Field required"),
        ({"owner": ""}, "raw-events.yaml: owner: String should have at least 1 character"),
        ({"retention_ms": ...}, "raw-events.yaml: retention_ms: Field required"),
        ({"compatibility": "SOME"}, "raw-events.yaml: compatibility: Input should be 'NONE'"),
        ({"partitions": 0}, "raw-events.yaml: partitions: Input should be greater than or equal to 1"),
        ({"colour": "red"}, "raw-events.yaml: colour: Extra inputs are not permitted"),
        ({"fields": {}}, "raw-events.yaml: fields.key: Field required"),
        ({"fields": {"key": "payload.user"}}, "raw-events.yaml: fields.key: base_event.v1 has no field payload.user"),
        ({"record": "event"}, "raw-events.yaml: record: no record 'event'"),
        ({"dead_letters": "raw.dlq"}, "raw-events.yaml: dead_letters: no topic 'raw.dlq'"),
        ({"max_message_bytes": 2_097_152}, "raw-events.dlq.yaml: max_message_bytes: the largest record of raw-events"),
        ({"topic": "other"}, "raw-events.yaml: topic: says 'other'"),
        ({"table": {"name": "t"}}, "raw-events.yaml: table.name: String should match"),
        (
            {"table": {"name": "a.t", "partition_by": [{"field": "day", "transform": "day"}]}},
            "raw-events.yaml: table.partition_by: base_event.v1 has no field day",
        ),
        (
            {"table": {"name": "a.t", "versions": {"key": "event_id", "by": "number"}}},
            "raw-events.yaml: table.versions.by: base_event.v1 has no field number",
        ),
        ({"rules": [{"name": "r", "field": "event_id"}]}, "raw-events.yaml: rules.r: Value error, says nothing"),
        ({"rules": [{"name": "r", "field": "id", "minimum": 1}]}, "rules.r.field: base_event.v1 has no field id"),
        (
            {"rules": [{"name": "r", "field": "event_id", "pattern": "("}]},
            "rules.r.pattern: Value error, not a regular",
        ),
        ({"rules": [{"name": "r", "field": "event_id", "one_of_set": "x"}]}, "no set 'x'; there are iso_4217"),
        ({"rules": [{"name": "r", "field": "event_id", "minimum": 2, "maximum": 1}]}, "nothing can be at least 2"),
        ({"rules": [{"name": "r", "field": "event_id", "one_of": [True]}]}, "raw-events.yaml: rules.r.one_of.0"),
        ({"rules": [{"name": "r", "field": "event_id", "required": True}] * 2}, "rule names are used twice: r"),
        ({"rules": [3]}, "raw-events.yaml: rules.0: Input should be"),
    ],
)
def test_a_wrong_topic_is_refused_by_file_and_field(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_topic(folder, **changes)
    with pytest.raises(ContractError) as caught:
        Contracts.load(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("avro/base_event.v1.avsc", "{", "base_event.v1.avsc: not JSON"),
        ("avro/base_event.v1.avsc", "[]", "base_event.v1.avsc: expected one record"),
        ("avro/base_event.v1.avsc", '{"type": "enum", "name": "base_event", "symbols": []}', "expected a record"),
        (
            "avro/base_event.v1.avsc",
            '{"type": "record", "name": "other", "fields": []}',
            "expected a record 'base_event'",
        ),
        (
            "avro/base_event.v1.avsc",
            '{"type": "record", "name": "base_event", "fields": [{"name": "x", "type": "text"}]}',
            "base_event.v1.avsc: not a valid Avro schema",
        ),
        (
            "avro/base_event.v1.avsc",
            '{"type": "record", "name": "base_event", "fields": [{"name": "x", "type": "int"}, {"name": "x", "type": "int"}]}',
            "two fields have the same name",
        ),
        ("avro/base_event.avsc", "{}", "base_event.avsc: a schema file is called <record>.v<N>.avsc"),
        ("avro/dead_letter.v3.avsc", "", "dead_letter.v3.avsc: not JSON"),
        ("topics/raw-events.yaml", "a: [", "raw-events.yaml: not YAML"),
        ("topics/raw-events.yaml", "[]", "raw-events.yaml: the file: Input should be"),
    ],
)
def test_a_wrong_file_is_refused_by_name(folder: Path, file: str, content: str, message: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(ContractError) as caught:
        Contracts.load(folder)
    assert message in str(caught.value)


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    change_topic(folder, owner=...)
    change_topic(folder, "enriched-events", partitions="many", colour="red")
    with pytest.raises(ContractError) as caught:
        Contracts.load(folder)
    assert len(caught.value.problems) == 3


def test_a_gap_in_the_versions_is_refused(folder: Path) -> None:
    release(folder, "base_event", 3, base_event(folder))
    with pytest.raises(ContractError, match=r"base_event: versions \[1, 3\] leave a gap"):
        Contracts.load(folder)


def test_a_folder_without_contracts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no folder avro/"):
        Contracts.load(tmp_path)


def test_an_incompatible_release_is_found_in_both_directions(folder: Path) -> None:
    schema = base_event(folder)
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "source_system"]
    schema["fields"].append({"name": "weight", "type": "int", "doc": "Weight in grams."})
    release(folder, "base_event", 2, schema)
    change_topic(folder, fields={"key": "payload.attributes.user_id"}, rules=[])
    problems = check_contracts(Contracts.load(folder))
    assert (
        "base_event.v2 cannot read what base_event.v1 wrote: weight: is not written and has no default; "
        "breaks readers of raw-events (enricher, admin) from then on, on what it keeps of v1"
    ) in problems
    assert (
        "base_event.v1 cannot read what base_event.v2 wrote: source_system: is not written and has no default; "
        "breaks readers of raw-events (enricher, admin) until they read with v2"
    ) in problems


def test_a_release_is_held_against_all_older_ones(folder: Path) -> None:
    with_default = base_event(folder)
    with_default["fields"].append({"name": "weight", "type": "int", "default": 0, "doc": "Weight in grams."})
    release(folder, "base_event", 2, base_event(folder))
    release(folder, "base_event", 3, with_default)
    assert check_contracts(Contracts.load(folder)) == []
    del with_default["fields"][-1]["default"]
    release(folder, "base_event", 3, with_default)
    problems = [problem for problem in check_contracts(Contracts.load(folder)) if "cannot read" in problem]
    assert [problem.split(": ")[0] for problem in problems] == [
        "base_event.v3 cannot read what base_event.v1 wrote",
        "base_event.v3 cannot read what base_event.v2 wrote",
    ]


def test_the_topics_level_decides_what_is_compatible(folder: Path) -> None:
    schema = base_event(folder)
    schema["fields"].append({"name": "weight", "type": "int", "doc": "Weight in grams."})
    release(folder, "base_event", 2, schema)
    (folder / "examples/base_event").rename(folder / "examples/old")
    (folder / "examples/base_event").mkdir()
    for level, breaks in {"NONE": 0, "FORWARD": 0, "BACKWARD": 1, "FULL": 1, "FULL_TRANSITIVE": 1}.items():
        change_topic(folder, compatibility=level)
        problems = [problem for problem in check_contracts(Contracts.load(folder)) if "cannot read" in problem]
        assert len(problems) == breaks, level


def test_missing_docs_unknown_pii_and_pointless_rules_are_found(folder: Path) -> None:
    schema = base_event(folder)
    del schema["doc"], schema["fields"][0]["doc"]
    schema["fields"][1]["pii"] = "secret"
    release(folder, "base_event", 1, schema)
    change_topic(
        folder,
        fields={"key": "event_id", "event_time": "event_id", "type": "event_timestamp"},
        rules=[{"name": "r", "field": "event_id", "minimum": 0, "when": {"field": "event_type", "equals": "never"}}],
        table={"name": "a.t", "versions": {"key": "event_id", "by": "event_type"}},
    )
    assert check_contracts(Contracts.load(folder)) == [
        "base_event.v1.avsc: the record has no doc",
        "base_event.v1.avsc: event_id: has no doc",
        "base_event.v1.avsc: event_type: pii is 'secret'; it is one of direct, quasi",
        "raw-events.yaml: fields.event_time: event_id is no long; event time is timestamp-millis",
        "raw-events.yaml: fields.type: event_timestamp is no string; agents are chosen by the type's name",
        "raw-events.yaml: table.versions.by: event_type is no whole number; versions are ordered by one",
        "raw-events.yaml: rules.r: minimum/maximum asks nothing of event_id, a string",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": 5}, "event_id is <5> of type <class 'int'> expected string"),
        ({"event_id": ""}, "is no value of raw-events: event_id must have a length at least 1"),
        ({"colour": "red"}, "headgate.v1.base_event has no field colour"),
    ],
)
def test_a_wrong_example_is_found(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "examples/base_event/page_view.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    problems = check_contracts(Contracts.load(folder))
    assert len(problems) == 1
    assert problems[0].startswith("examples/base_event/page_view.json: ")
    assert message in problems[0]


def test_a_record_without_examples_is_found(folder: Path) -> None:
    shutil.rmtree(folder / "examples/dead_letter")
    assert check_contracts(Contracts.load(folder)) == [
        "examples/dead_letter/: no example; add one JSON file a typical value"
    ]


def test_example_bytes_are_read_as_avro_writes_them_in_json() -> None:
    example = Contracts.load().examples("dead_letter")["contract_violation"]
    assert example["value"] == b"\x00\x00\x00\x00\x03\x06abc\xff"
    assert example["headers"][1] == {"name": "empty", "value": None}


TYPES = {"name": "r", "field": "event_type"}


@pytest.mark.parametrize(
    ("type_field", "rules", "types"),
    [
        ("event_type", [{**TYPES, "one_of": ["a", "b"]}], {"a", "b"}),
        ("event_type", [{**TYPES, "min_length": 1}], None),
        ("event_type", [{**TYPES, "one_of": ["a"], "when": {"field": "source_system", "equals": "s"}}], None),
        (None, [{**TYPES, "one_of": ["a", "b"]}], None),
    ],
)
def test_the_types_of_a_topics_events_are_those_a_rule_lists_for_all(
    folder: Path, type_field: str | None, rules: list[dict[str, Any]], types: set[str] | None
) -> None:
    change_topic(folder, fields={"key": None, "type": type_field}, rules=rules)
    contract = Contracts.load(folder).topic("raw-events")
    assert contract.event_types == types


def test_the_types_of_a_topics_events_may_be_a_named_set(folder: Path) -> None:
    change_topic(folder, fields={"key": None, "type": "event_type"}, rules=[{**TYPES, "one_of_set": "iso_4217"}])
    assert {"EUR", "USD"} < (Contracts.load(folder).topic("raw-events").event_types or set())


def test_a_projected_record_has_the_fields_on_its_paths_and_no_others() -> None:
    record = Contracts.load().record("agent_enriched_event")
    projected = project(record, ["event_id", "payload.attributes.amount", "agent_metadata.session.intent"])
    assert [path for path, _ in walk_fields(projected.raw)] == [
        "event_id",
        "payload",
        "payload.attributes",
        "payload.attributes.amount",
        "agent_metadata",
        "agent_metadata.session",
        "agent_metadata.session.intent",
    ]
    assert incompatibilities(projected.raw, record.raw) == []
    with pytest.raises(ContractError, match=r"agent_enriched_event\.v1 has no field payload\.amount"):
        project(record, ["payload.amount"])
