"""What becomes of personal data in a table, by tags and policy."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_schemas import ContractError, Contracts, PiiPolicy, latest_view, treatments
from headgate_schemas.records import parse_record

if TYPE_CHECKING:
    from pathlib import Path

PERSON = {
    "type": "record",
    "name": "person",
    "fields": [
        {"name": "name", "type": "string", "pii": "direct"},
        {"name": "town", "type": ["null", "string"], "default": None, "pii": "quasi"},
        {"name": "score", "type": "int"},
    ],
}
INSTANT = {"type": "long", "logicalType": "timestamp-millis"}


def record_of(*fields: dict[str, Any]) -> Any:
    return parse_record("seen", 1, {"type": "record", "name": "seen", "fields": list(fields)})


def treated(policy: PiiPolicy, *fields: dict[str, Any]) -> dict[str, str]:
    found = treatments(record_of({"name": "id", "type": "string"}, *fields), policy)
    assert not found.problems
    return dict(found.by_path)


def test_each_class_is_treated_as_its_policy_says_at_any_depth() -> None:
    fields = (
        {"name": "who", "type": PERSON},
        {"name": "again", "type": ["null", "person"]},
        {"name": "many", "type": {"type": "array", "items": "person"}},
        {"name": "named", "type": {"type": "map", "values": "person"}},
    )
    places = ("who", "again", "many[]", "named{}")
    assert treated(PiiPolicy(direct="hash", quasi="drop"), *fields) == {
        f"{place}.{name}": done for place in places for name, done in (("name", "hash"), ("town", "drop"))
    }
    assert treated(PiiPolicy(), *fields) == {}


def test_a_tag_holds_inside_its_field_until_another_tag() -> None:
    aliases = {"type": "array", "items": "string"}
    inner = {
        "type": "record",
        "name": "inner",
        "fields": [{"name": "aliases", "type": aliases}, {"name": "town", "type": "string", "pii": "quasi"}],
    }
    holder = {"name": "holder", "type": inner, "pii": "direct"}
    assert treated(PiiPolicy(direct="hash"), holder) == {"holder.aliases[]": "hash"}
    assert treated(PiiPolicy(direct="drop"), holder) == {"holder": "drop"}


def test_a_field_goes_with_the_one_it_is_in() -> None:
    found = treatments(
        record_of({"name": "id", "type": "string"}, {"name": "who", "type": PERSON, "pii": "direct"}),
        PiiPolicy(direct="drop"),
    )
    assert [found.of(path) for path in ("who", "who.score", "id")] == ["drop", "drop", "keep"]


@pytest.mark.parametrize("avro", ["int", "long", "double", "boolean", INSTANT, ["null", "float"]])
def test_only_texts_and_bytes_can_be_hashed(avro: Any) -> None:
    found = treatments(record_of({"name": "born", "type": avro, "pii": "direct"}), PiiPolicy(direct="hash"))
    assert len(found.problems) == 1
    assert "born is a" in found.problems[0]


def test_a_record_is_not_left_without_a_field() -> None:
    inner = {"type": "record", "name": "inner", "fields": [{"name": "name", "type": "string", "pii": "direct"}]}
    found = treatments(record_of({"name": "who", "type": inner}), PiiPolicy(direct="drop"))
    assert [problem.partition(" is dropped")[0] for problem in found.problems] == ["every field of who"]


def contracts_with(folder: Path, **table: Any) -> Contracts:
    """Contracts of one stored topic whose record has personal data of each kind."""
    fields = [
        {"name": "id", "type": "string", "pii": "direct"},
        {"name": "town", "type": "string", "pii": "quasi"},
        {"name": "at", "type": INSTANT, "pii": "quasi"},
        {"name": "revision", "type": "int", "pii": "quasi"},
        {"name": "left", "type": "string"},
    ]
    topic = {
        "topic": "seen",
        "description": "What was seen.",
        "owner": "test",
        "record": "seen",
        "compatibility": "FULL_TRANSITIVE",
        "partitions": 1,
        "retention_ms": -1,
        "cleanup_policy": "delete",
        "fields": table.pop("fields", {"key": None}),
        "producers": [],
        "consumers": [],
    }
    stored = {"dead_letters": "seen.dlq", "table": {"name": "lake.seen", **table}}
    letters = {"topic": "seen.dlq", "record": "dead_letter", "fields": {"key": None}, "max_message_bytes": 2_097_152}
    for part in ("avro", "topics"):
        (folder / part).mkdir()
    schema = parse_record("seen", 1, {"type": "record", "name": "seen", "fields": fields}).text
    (folder / "avro" / "seen.v1.avsc").write_text(schema, "utf-8")
    shutil.copy(Contracts.load().directory / "avro" / "dead_letter.v1.avsc", folder / "avro")
    (folder / "topics" / "seen.yaml").write_text(yaml.safe_dump({**topic, **stored}), "utf-8")
    (folder / "topics" / "seen.dlq.yaml").write_text(yaml.safe_dump({**topic, **letters}), "utf-8")
    return Contracts.load(folder)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"pii": {"direct": "drop"}, "partition_by": [{"field": "id", "transform": "bucket[16]"}]},
            "table.pii: id is dropped, and the table is partitioned by it",
        ),
        (
            {"pii": {"direct": "hash"}, "partition_by": [{"field": "id", "transform": "day"}]},
            "table.pii: id is hashed, and a hash has no day",
        ),
        (
            {"pii": {"direct": "drop"}, "versions": {"key": "id", "by": "revision"}},
            "table.pii: id is dropped, and versions of a row share it",
        ),
        (
            {"pii": {"quasi": "drop"}, "versions": {"key": "id", "by": "revision"}},
            "table.pii: revision is dropped or hashed, and versions are ordered by it",
        ),
        (
            {"pii": {"quasi": "drop"}, "fields": {"key": None, "event_time": "at"}},
            "table.pii: at is dropped or hashed, and its rows are sorted by it",
        ),
        ({"pii": {"quasi": "hash"}}, "table.pii: at is a long, and only texts and bytes are hashed"),
        ({"pii": {"direct": "mask"}}, "table.pii.direct: Input should be 'keep', 'hash' or 'drop'"),
    ],
)
def test_a_policy_the_table_cannot_follow_is_refused_by_field(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        contracts_with(tmp_path, **table)
    assert any(f"seen.yaml: {message}" in problem for problem in caught.value.problems)


def test_a_hashed_field_may_be_a_bucket_s_source_and_the_key_of_versions(tmp_path: Path) -> None:
    parts = [{"field": "id", "transform": transform} for transform in ("identity", "bucket[16]", "truncate[2]")]
    versions = {"key": "id", "by": "revision"}
    contracts = contracts_with(tmp_path, pii={"direct": "hash"}, partition_by=parts, versions=versions)
    assert contracts.topic("seen").table is not None


def test_a_view_names_no_column_that_was_dropped(tmp_path: Path) -> None:
    contracts = contracts_with(tmp_path, pii={"quasi": "drop"}, versions={"key": "left", "by": "left"})
    view = latest_view(contracts.topic("seen"), contracts.record("seen"))
    assert 'SELECT "id", "left"\n' in view


def test_a_named_types_tags_hold_wherever_it_is_used() -> None:
    person = {
        "type": "record",
        "name": "person",
        "fields": [
            {"name": "name", "type": "string", "pii": "direct"},
            {"name": "friend", "type": ["null", "person"], "default": None},
        ],
    }
    schema = {
        "type": "record",
        "name": "letter",
        "namespace": "n",
        "fields": [
            {"name": "sender", "type": person},
            {"name": "receiver", "type": "person"},
            {"name": "copies", "type": {"type": "array", "items": "person"}},
        ],
    }
    record = parse_record("letter", 1, schema)
    assert record.pii == {"sender.name": "direct", "receiver.name": "direct", "copies[].name": "direct"}
