"""Hashing and leaving out personal data, with the standard library's HMAC as the measure."""

from __future__ import annotations

import hashlib
import hmac
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import TopicPartition
from headgate_schemas import PartitionField, PiiPolicy, TableContract, treatments
from headgate_schemas.records import parse_record
from headgate_writer.catalog import open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.errors import NotStorableError
from headgate_writer.opening import open_table
from headgate_writer.personal import Guard, Hasher, ProtectedTable, Protection, read_key
from headgate_writer.positions import Incarnation
from headgate_writer.schema import decoded_schema, stored_schema
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))
PERSON: dict[str, Any] = {
    "type": "record",
    "name": "person",
    "fields": [
        {"name": "name", "type": "string", "pii": "direct"},
        {"name": "card", "type": ["null", "bytes"], "default": None, "pii": "direct"},
        {"name": "town", "type": ["null", "string"], "default": None, "pii": "quasi"},
        {"name": "score", "type": "int"},
    ],
}
RECORD = parse_record(
    "seen",
    1,
    {
        "type": "record",
        "name": "seen",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "who", "type": PERSON},
            {"name": "maybe", "type": ["null", "person"], "default": None},
            {"name": "many", "type": ["null", {"type": "array", "items": ["null", "person"]}], "default": None},
            {"name": "named", "type": {"type": "map", "values": "person"}},
            {"name": "aliases", "type": {"type": "array", "items": "string"}, "pii": "direct"},
            {"name": "note", "type": ["null", "string"], "default": None, "pii": "quasi"},
        ],
    },
)
SCHEMA = stored_schema(decoded_schema(RECORD))
POLICY = PiiPolicy(direct="hash", quasi="drop")


def protection(policy: PiiPolicy = POLICY, key: bytes | None = KEY) -> Protection:
    return Protection(treatments(RECORD, policy).by_path, key)


def hashed(value: str | bytes | None) -> str | None:
    if value is None:
        return None
    return hmac.digest(KEY, value.encode() if isinstance(value, str) else value, "sha256").hex()


def person(name: str, card: bytes | None = None) -> dict[str, Any]:
    return {"name": name, "card": card, "town": "Turin", "score": 1}


def seen(offset: int, **values: Any) -> dict[str, Any]:
    row = {
        "id": str(offset),
        "who": person("Ada", b"\x00\xff"),
        "maybe": None,
        "many": None,
        "named": [],
        "aliases": [],
    }
    return (
        row | {"note": "text", "_topic": "seen", "_kafka_partition": 0, "_offset": offset, "_ingested_at": 0} | values
    )


ROWS = pa.Table.from_pylist(
    [
        seen(0),
        seen(1, maybe=person("Bob"), many=[person("Ada"), None, person("Cyd")], named=[("k", person("Ada", b""))]),
        seen(2, many=[], named=[("a", person("Eve")), ("b", person("Ada"))], aliases=["Ada", "Bob"], note=None),
        seen(3, who=person("Bob"), many=[person("Ada")], aliases=["Ada"]),
    ],
    SCHEMA,
)


def expected(row: dict[str, Any]) -> dict[str, Any]:
    def of(someone: dict[str, Any] | None) -> dict[str, Any] | None:
        return someone and {"name": hashed(someone["name"]), "card": hashed(someone["card"]), "score": someone["score"]}

    treated = {**row, "who": of(row["who"]), "maybe": of(row["maybe"])}
    treated["many"] = row["many"] and [of(someone) for someone in row["many"]]
    treated["named"] = [(key, of(someone)) for key, someone in row["named"]]
    treated["aliases"] = [hashed(alias) for alias in row["aliases"]]
    del treated["note"]
    return treated


@pytest.mark.parametrize("rows", [ROWS, ROWS.slice(1, 2), pa.concat_tables([ROWS.slice(2), ROWS.slice(0, 2)])])
def test_values_are_hashed_and_fields_left_out_at_any_depth(rows: pa.Table) -> None:
    treated = protection().rows(rows)
    treated.validate(full=True)
    assert treated.to_pylist() == [expected(row) for row in rows.to_pylist()]
    assert treated.schema == protection().schema(SCHEMA)


def test_untagged_columns_are_not_touched() -> None:
    treated = protection().rows(ROWS)
    assert treated["id"].chunk(0).buffers()[2].address == ROWS["id"].chunk(0).buffers()[2].address
    assert Protection({}, None).rows(ROWS) == ROWS


@given(values=st.lists(st.none() | st.binary(max_size=200), max_size=20), key=st.binary(min_size=32, max_size=150))
def test_a_hash_is_the_standard_library_s_hmac(values: list[bytes | None], key: bytes) -> None:
    found = Hasher(key).hashed(pa.array(values, pa.binary())).to_pylist()
    assert found == [value if value is None else hmac.new(key, value, hashlib.sha256).hexdigest() for value in values]


def test_a_table_that_hashes_needs_a_key_and_others_do_not() -> None:
    with pytest.raises(ConfigurationError, match="HEADGATE_WRITER_PII_KEY_FILE"):
        protection(key=None)
    protection(PiiPolicy(direct="drop"), key=None)


def test_a_key_is_a_file_s_content_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"k" * 32 + b"\r\n")
    assert read_key(file) == b"k" * 32
    file.write_bytes(b"k" * 31 + b"\n")
    with pytest.raises(ConfigurationError, match="31 bytes; write at least 32") as caught:
        read_key(file)
    assert "kkk" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_key(tmp_path / "nothing")


def test_a_protected_table_holds_hashes_and_is_partitioned_by_them(tmp_path: Path) -> None:
    catalog = open_catalog({"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"})
    contract = TableContract(
        name="lake.seen", partition_by=(PartitionField(field="who.name", transform="bucket[4]"),), pii=POLICY
    )
    guard = Guard(POLICY, KEY, RECORD)
    table = ProtectedTable(open_table(catalog, contract, guard.protection.schema(SCHEMA)), guard)
    committer = Committer(table, clock=lambda: 0.0, rng=random.SystemRandom())
    committer.meet(Incarnation("seen", "c", "i"))
    place = TopicPartition("seen", 0)
    committer.submit(Batch({place: 0}, {place: 4}, ROWS))
    assert committer.advance() is Outcome.LANDED
    stored = catalog.load_table("lake.seen").scan().to_arrow().sort_by("_offset")
    assert stored["who"].combine_chunks().field("name").to_pylist() == [
        hashed(name) for name in ("Ada", "Ada", "Ada", "Bob")
    ]
    assert "note" not in stored.column_names
    assert not any(b"Ada" in file.read_bytes() for file in tmp_path.rglob("*.parquet"))


def test_what_a_newer_record_tags_is_protected_from_its_first_row_on(tmp_path: Path) -> None:
    catalog = open_catalog({"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"})
    guard = Guard(POLICY, KEY, RECORD)
    opened = open_table(catalog, TableContract(name="lake.seen", pii=POLICY), guard.protection.schema(SCHEMA))
    table = ProtectedTable(opened, guard)
    fields = [
        *RECORD.raw["fields"],
        {"name": "mail", "type": ["null", "string"], "default": None, "pii": "direct"},
        {"name": "street", "type": ["null", "string"], "default": None, "pii": "quasi"},
    ]
    guard.follow(parse_record("seen", 2, {"type": "record", "name": "seen", "fields": fields}))
    table.widen(pa.schema([*SCHEMA, pa.field("mail", pa.string()), pa.field("street", pa.string())]))
    columns = catalog.load_table("lake.seen").schema().column_names
    assert "mail" in columns
    assert "street" not in columns
    rows = guard.protection.rows(pa.table({"mail": ["a@b", None], "street": ["x", "y"]}))
    assert rows.to_pydict() == {"mail": [hashed("a@b"), None]}


def test_a_newer_record_that_the_policy_does_not_fit_is_not_storable() -> None:
    fields = [*RECORD.raw["fields"], {"name": "born", "type": "int", "default": 0, "pii": "direct"}]
    with pytest.raises(NotStorableError, match="only texts and bytes are hashed"):
        Guard(POLICY, KEY, RECORD).follow(parse_record("seen", 2, {"type": "record", "name": "seen", "fields": fields}))
