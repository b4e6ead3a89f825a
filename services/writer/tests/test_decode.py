"""From Avro records to columns: every record is one row or one dead letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.errors import ConfigurationError, UnavailableError, UndecodableError
from headgate_runtime.records import Record
from headgate_schemas import RecordSchema, Violation
from headgate_schemas.records import parse_record
from headgate_writer.decode import BatchDecoder
from headgate_writer.schema import INSTANT, decoded_schema, stored_schema
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
LATEST_MS = 253_402_300_799_999


def record_of(*fields: tuple[str, Any]) -> RecordSchema:
    schema = {"type": "record", "name": "reading", "fields": [{"name": name, "type": kind} for name, kind in fields]}
    return parse_record("reading", 1, schema)


READING = record_of(
    ("at", MILLIS),
    ("level", "int"),
    ("place", ["null", {"type": "record", "name": "place", "fields": [{"name": "seen", "type": ["null", MILLIS]}]}]),
)


class Values:
    """A decoder whose record values are indices into a list; bytes that are no index are undecodable."""

    def __init__(self, values: list[dict[str, Any]]) -> None:
        self.values = values
        self.away = False

    def decode(self, value: bytes | None) -> dict[str, Any]:
        if self.away:
            raise UnavailableError("registry away")
        if value is None or not value.isdigit():
            raise UndecodableError("undecodable", "no index", schema_id=7)
        return self.values[int(value)]


def no_negatives(value: Mapping[str, Any]) -> Violation | None:
    return Violation("level", "level_positive", "level is below 0") if value["level"] < 0 else None


def decoder_of(values: list[dict[str, Any]]) -> BatchDecoder:
    return BatchDecoder(Values(values), no_negatives, decoded_schema(READING), lambda: 1_700_000_000_000)


def reading(at: int = 0, level: int = 1, seen: int | None = None) -> dict[str, Any]:
    return {"at": at, "level": level, "place": None if seen is None else {"seen": seen}}


def records(values: list[bytes | None]) -> list[Record]:
    return [Record("readings", 3, 100 + index, 0, None, value) for index, value in enumerate(values)]


def test_a_row_has_its_values_in_microseconds_and_its_position() -> None:
    rows, rejected = decoder_of([reading(at=1_500, seen=2_500)]).decode_batch(records([b"0"]))
    assert rejected == []
    row = rows.to_pylist()[0]
    assert row["at"].timestamp() == 1.5
    assert row["place"]["seen"].timestamp() == 2.5
    assert (row["_topic"], row["_kafka_partition"], row["_offset"]) == ("readings", 3, 100)
    assert row["_ingested_at"].timestamp() == 1_700_000_000
    assert rows.schema.field("at").type == INSTANT


def test_what_cannot_be_a_row_is_rejected_with_its_cause_and_the_rest_survives() -> None:
    values = [reading(), reading(level=-1), reading(level=2**40), reading(at=LATEST_MS + 1), reading(seen=2**62)]
    rows, rejected = decoder_of(values).decode_batch(records([b"0", None, b"1", b"2", b"3", b"4", b"0"]))
    assert rows["_offset"].to_pylist() == [100, 106]
    causes = {each.record.offset: (each.cause, each.field, each.schema_id) for each in rejected}
    assert causes == {
        101: ("undecodable", None, 7),
        102: ("contract_violation", "level", None),
        103: ("unrepresentable", None, None),
        104: ("unrepresentable", None, None),
        105: ("unrepresentable", None, None),
    }
    assert str(2**40) not in "".join(each.message for each in rejected)


@given(
    st.lists(
        st.builds(
            reading,
            at=st.integers(-(2**63), 2**63 - 1),
            level=st.integers(-(2**33), 2**33),
            seen=st.none() | st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=40,
    ),
    st.lists(st.none() | st.just(b"\x00"), max_size=5),
)
def test_records_in_are_rows_and_rejected_out(values: list[dict[str, Any]], broken: list[bytes | None]) -> None:
    sent = records([*(str(index).encode() for index in range(len(values))), *broken])
    rows, rejected = decoder_of(values).decode_batch(sent)
    out = rows["_offset"].to_pylist() + [each.record.offset for each in rejected]
    assert sorted(out) == [record.offset for record in sent]
    assert rows["_offset"].to_pylist() == sorted(rows["_offset"].to_pylist())
    kept = [values[offset - 100] for offset in rows["_offset"].to_pylist()]
    assert [value.as_py() for value in rows["at"].cast(pa.int64())] == [value["at"] * 1000 for value in kept]


def test_an_outage_of_the_registry_decodes_nothing() -> None:
    decoder = decoder_of([reading()])
    decoder._decoder.away = True  # type: ignore[attr-defined]  # the fake's switch
    with pytest.raises(UnavailableError):
        decoder.decode_batch(records([b"0"]))


def test_columns_are_nullable_where_avro_says_and_inside_nullable_records() -> None:
    schema = stored_schema(decoded_schema(READING))
    assert not schema.field("at").nullable
    assert schema.field("place").nullable
    assert schema.field("place").type.field("seen").nullable
    assert schema.names[-4:] == ["_topic", "_kafka_partition", "_offset", "_ingested_at"]
    inner = {"type": "record", "name": "inner", "fields": [{"name": "must", "type": "string"}]}
    assert decoded_schema(record_of(("held", ["null", inner]))).field("held").type.field("must").nullable
    assert not decoded_schema(record_of(("held", inner))).field("held").type.field("must").nullable


def test_every_supported_avro_type_has_a_column() -> None:
    place = {"type": "record", "name": "place", "fields": [{"name": "x", "type": "double"}]}
    schema = stored_schema(
        decoded_schema(
            record_of(
                ("tags", {"type": "array", "items": "string"}),
                ("seen", {"type": "array", "items": MILLIS}),
                ("labels", {"type": "map", "values": ["null", "long"]}),
                ("kind", {"type": "enum", "name": "kind", "symbols": ["A"]}),
                ("digest", {"type": "fixed", "name": "digest", "size": 4}),
                ("day", {"type": "int", "logicalType": "date"}),
                ("micros", {"type": "long", "logicalType": "timestamp-micros"}),
                ("first", place),
                ("again", "place"),
            )
        )
    )
    assert schema.field("tags").type == pa.list_(pa.field("element", pa.string(), nullable=False))
    assert schema.field("seen").type.value_type == INSTANT
    assert schema.field("labels").type == pa.map_(pa.string(), pa.int64())
    assert schema.field("kind").type == pa.string()
    assert schema.field("digest").type == pa.binary(4)
    assert schema.field("day").type == pa.date32()
    assert schema.field("micros").type == INSTANT
    assert schema.field("again").type == schema.field("first").type


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (["null", "string", "long"], "union of 2 types"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9}, "logical type decimal"),
        ({"type": "record", "name": "tree", "fields": [{"name": "child", "type": ["null", "tree"]}]}, "itself"),
    ],
)
def test_a_type_without_a_column_is_refused_by_name(kind: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"reading\.v1: field odd.*{complaint}"):
        decoded_schema(record_of(("odd", kind)))


def test_a_field_named_like_a_position_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="_offset"):
        decoded_schema(record_of(("_offset", "long")))
