"""What becomes of a record, whichever decoder this installation has."""

from __future__ import annotations

from typing import Any

import pytest
from headgate_runtime.errors import UnavailableError
from headgate_schemas import Contracts

from .decoders import DECODERS, World, contract_of, offsets, record_of, to_records
from .random_avro import varint

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
READING = record_of(
    {"name": "at", "type": MILLIS},
    {"name": "level", "type": "int"},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}},
    {"name": "sound", "type": "boolean"},
    {"name": "note", "type": ["null", "string"], "default": None},
    {"name": "tags", "type": {"type": "map", "values": "long"}},
    {"name": "seen", "type": {"type": "array", "items": MILLIS}},
)
VALUE: dict[str, Any] = {
    "at": 1_500,
    "level": 1,
    "kind": "B",
    "sound": True,
    "note": None,
    "tags": {"x": 1},
    "seen": [2_500],
}
LEVEL_POSITIVE = {"field": "level", "minimum": 0}
AFTER_CALENDAR_MS = 253_402_300_800_000

every_decoder = pytest.mark.parametrize("name", DECODERS)


def datum(
    *,
    at: bytes = varint(1_500),
    level: bytes = varint(1),
    kind: bytes = varint(1),
    sound: bytes = b"\x01",
    note: bytes = varint(0),
    tags: bytes = varint(0),
    seen: bytes = varint(0),
) -> bytes:
    """A datum of a reading, put together by hand."""
    return at + level + kind + sound + note + tags + seen


def framed(world: World, body: bytes) -> bytes:
    return b"\x00" + world.schema_id(world.reader).to_bytes(4, "big") + body


@every_decoder
def test_a_good_record_is_a_row_with_its_values(name: str) -> None:
    world = World(READING)
    rows, rejected = world.decoder(name).decode_batch(to_records([world.encode(VALUE)] * 3))
    assert rejected == []
    assert offsets(rows) == [0, 1, 2]
    row = rows.to_pylist()[1]
    assert (row["at"].timestamp(), row["seen"][0].timestamp()) == (1.5, 2.5)
    assert (row["level"], row["kind"], row["sound"], row["note"], row["tags"]) == (1, "B", True, None, [("x", 1)])


@every_decoder
def test_good_records_of_all_versions_are_the_references_only_where_there_is_no_other(name: str) -> None:
    older = record_of(*READING.schema["fields"][:3], {"name": "gone", "type": "string"})
    reader = record_of(
        *[{**field, "type": "long"} if field["name"] == "level" else field for field in READING.schema["fields"][:3]],
        {"name": "place", "type": ["null", {"type": "record", "name": "place", "fields": []}], "default": None},
        {"name": "weight", "type": "double", "default": 2.5},
        version=2,
    )
    world = World(reader)
    old, new = {**VALUE, "gone": "x"}, {**VALUE, "level": 2**40, "place": {}, "weight": 1.0}
    sent = [world.encode(new), world.encode(old, older), world.encode(old, older), world.encode(new)]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert rejected == []
    assert offsets(rows) == [0, 1, 2, 3]
    assert rows["level"].to_pylist() == [2**40, 1, 1, 2**40]
    assert rows["weight"].to_pylist() == [1.0, 2.5, 2.5, 1.0]
    assert rows["place"].is_valid().to_pylist() == [True, False, False, True]
    assert world.references[name].asked == (0 if name == "native" else 4)


@every_decoder
@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (None, "tombstone"),
        (b"", "bad_magic"),
        (b"\x01\x00\x00\x00\x01" + datum(), "bad_magic"),
        (b"\x00\xff\xff\xff\xff" + datum(), "unknown_schema_id"),
    ],
)
def test_a_value_without_a_known_frame_is_rejected_with_its_cause(name: str, body: bytes | None, cause: str) -> None:
    world = World(READING)
    good = world.encode(VALUE)
    rows, rejected = world.decoder(name).decode_batch(to_records([good, body, good]))
    assert offsets(rows) == [0, 2]
    assert [(each.record.offset, each.cause) for each in rejected] == [(1, cause)]


@every_decoder
@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (datum() + b"\x00", "trailing_bytes"),
        (datum()[:-1], "undecodable"),
        (datum(kind=varint(2)), "undecodable"),
        (datum(note=varint(2)), "undecodable"),
        (datum(note=varint(1) + varint(2) + b"\xff\xfe"), "undecodable"),
        (datum(note=varint(1) + varint(-1)), "undecodable"),
        # What fastavro alone reads as something else.
        (datum(kind=varint(-1)), "undecodable"),
        (datum(note=varint(-1) + varint(1) + b"a"), "undecodable"),
        (datum(sound=b"\x02"), "undecodable"),
        (datum(level=varint(2**31)), "undecodable"),
        (datum(at=b"\xff" * 10 + b"\x01"), "undecodable"),
        (datum(seen=varint(-1) + varint(9) + varint(5) + varint(0)), "undecodable"),
    ],
)
def test_a_damaged_datum_is_rejected_and_its_neighbours_are_not(name: str, body: bytes, cause: str) -> None:
    world = World(READING)
    good = framed(world, datum())
    rows, rejected = world.decoder(name).decode_batch(to_records([good, framed(world, body), good]))
    assert offsets(rows) == [0, 2]
    assert [(each.record.offset, each.cause, each.schema_id) for each in rejected] == [(1, cause, 1)]


@every_decoder
def test_the_last_of_a_maps_equal_keys_holds_and_rows_keep_their_order(name: str) -> None:
    world = World(READING)
    twice = varint(2) + (varint(1) + b"x" + varint(7)) + (varint(1) + b"x" + varint(8)) + varint(0)
    good, odd = framed(world, datum()), framed(world, datum(tags=twice))
    rows, rejected = world.decoder(name).decode_batch(to_records([good, odd, good, None, odd]))
    assert offsets(rows) == [0, 1, 2, 4]
    assert rows["tags"].to_pylist() == [[], [("x", 8)], [], [("x", 8)]]
    assert [each.cause for each in rejected] == ["tombstone"]


@every_decoder
def test_a_count_of_items_without_bytes_does_not_keep_the_decoder_busy(name: str) -> None:
    nulls = {"type": "array", "items": "null"}
    world = World(record_of({"name": "level", "type": "int"}))
    writer = record_of({"name": "level", "type": "int"}, {"name": "nulls", "type": nulls})
    frame = world.encode({"level": 1, "nulls": []}, writer)[:-1]
    sent = [frame + varint(3) + varint(0), frame + varint(2**40) + varint(0)]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert offsets(rows) == [0]
    assert [each.cause for each in rejected] == ["undecodable"]


@every_decoder
def test_a_writers_type_that_holds_itself_is_read_past(name: str) -> None:
    tree = {"type": "record", "name": "tree", "fields": [{"name": "child", "type": ["null", "tree"]}]}
    world = World(record_of({"name": "level", "type": "int"}))
    writer = record_of({"name": "tree", "type": tree}, {"name": "level", "type": "int"})
    sent = [world.encode({"tree": {"child": {"child": None}}, "level": 5}, writer), world.encode({"level": 6})]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert (rows["level"].to_pylist(), rejected) == ([5, 6], [])


@every_decoder
def test_an_instant_without_a_date_is_rejected_alone(name: str) -> None:
    world = World(READING)
    sent = [{}, {"at": AFTER_CALENDAR_MS}, {"at": AFTER_CALENDAR_MS - 1}, {"seen": [2**62]}, {}]
    rows, rejected = world.decoder(name).decode_batch(to_records([world.encode({**VALUE, **part}) for part in sent]))
    assert offsets(rows) == [0, 2, 4]
    assert {each.record.offset: each.cause for each in rejected} == {1: "unrepresentable", 3: "unrepresentable"}
    assert next(each for each in rejected if each.record.offset == 1).message.startswith("at is no instant")


@every_decoder
def test_a_broken_rule_is_named_and_its_value_is_not(name: str) -> None:
    world = World(READING, contract_of(LEVEL_POSITIVE))
    sent = [world.encode({**VALUE, "level": level}) for level in (1, -77, 0)]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert offsets(rows) == [0, 2]
    (broken,) = rejected
    assert (broken.cause, broken.field, broken.rule) == ("contract_violation", "level", "rule_0")
    assert "77" not in broken.message


@every_decoder
def test_a_schema_that_changes_a_unit_is_refused(name: str) -> None:
    world = World(READING)
    micros = [{**READING.schema["fields"][0], "type": {**MILLIS, "logicalType": "timestamp-micros"}}]
    writer = record_of(*micros, *READING.schema["fields"][1:], version=2)
    sent = [world.encode(VALUE), world.encode(VALUE, writer)]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert offsets(rows) == [0]
    assert [each.cause for each in rejected] == ["undecodable"]
    assert "timestamp-micros would be read as timestamp-millis" in rejected[0].message


@every_decoder
def test_an_enum_symbol_the_reader_lacks_is_rejected_alone(name: str) -> None:
    world = World(READING)
    more = {"type": "enum", "name": "kind", "symbols": ["A", "B", "C"]}
    fields = [{**field, "type": more} if field["name"] == "kind" else field for field in READING.schema["fields"]]
    sent = [world.encode({**VALUE, "kind": kind}, record_of(*fields, version=2)) for kind in "ACB"]
    rows, rejected = world.decoder(name).decode_batch(to_records(sent))
    assert rows["kind"].to_pylist() == ["A", "B"]
    assert [(each.record.offset, each.cause) for each in rejected] == [(1, "undecodable")]


@every_decoder
def test_an_outage_of_the_registry_decodes_nothing_and_passes(name: str) -> None:
    world = World(READING)
    decoder, sent = world.decoder(name), to_records([world.encode(VALUE)])
    world.registry.available = False
    with pytest.raises(UnavailableError):
        decoder.decode_batch(sent)
    world.registry.available = True
    assert decoder.decode_batch(sent)[0].num_rows == 1
    world.registry.available = False
    assert decoder.decode_batch(sent)[0].num_rows == 1


@every_decoder
def test_an_id_that_is_registered_later_is_read_from_then_on(name: str) -> None:
    world = World(READING)
    decoder = world.decoder(name)
    sent = to_records([b"\x00\x00\x00\x00\x01" + datum()])
    assert [each.cause for each in decoder.decode_batch(sent)[1]] == ["unknown_schema_id"]
    world.schema_id(READING)
    assert decoder.decode_batch(sent)[0].num_rows == 1


@every_decoder
def test_a_batch_of_more_bytes_than_a_column_holds_is_decoded_in_parts(name: str) -> None:
    world = World(READING)
    values = [world.encode({**VALUE, "note": str(number) * 50}) for number in range(20)]
    values[7:7] = [None]
    rows, rejected = world.decoder(name, max_batch_bytes=200).decode_batch(to_records(values))
    assert offsets(rows) == [index for index in range(21) if index != 7]
    assert rows["note"].to_pylist() == [str(number) * 50 for number in range(20)]
    assert [each.record.offset for each in rejected] == [7]


@every_decoder
def test_no_records_are_no_rows(name: str) -> None:
    rows, rejected = World(READING).decoder(name).decode_batch([])
    assert (rows.num_rows, rejected) == (0, [])


@every_decoder
def test_the_shipped_examples_are_rows_under_their_rules(name: str) -> None:
    contracts = Contracts.load()
    for contract in contracts.topics.values():
        if contract.table is not None:
            world = World(contracts.record(contract.record), contract)
            values = [world.encode(example) for example in contracts.examples(contract.record).values()]
            rows, rejected = world.decoder(name).decode_batch(to_records(values))
            assert (rows.num_rows, rejected) == (len(values), [])
            assert world.references[name].asked == (0 if name == "native" else len(values))
