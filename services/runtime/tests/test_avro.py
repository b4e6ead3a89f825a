from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.avro import Decoder, Encoder, FieldCodec
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError, UndecodableError
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts
from headgate_schemas.records import parse_record
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_schemas import RecordSchema

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "score", "type": ["null", "double"], "default": None},
    {"name": "raw", "type": ["null", "bytes"], "default": None},
    {"name": "ok", "type": "boolean"},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["a", "b"]}},
    {
        "name": "items",
        "type": {
            "type": "array",
            "items": {"type": "record", "name": "item", "fields": [{"name": "n", "type": "int"}]},
        },
    },
    {"name": "tags", "type": {"type": "map", "values": ["null", "string"]}},
]
SUBJECT = "samples-value"


def sample(fields: list[dict[str, Any]], version: int = 1) -> RecordSchema:
    return parse_record("sample", version, {"type": "record", "name": "sample", "namespace": "t", "fields": fields})


RECORD = sample(FIELDS)
VALUE: dict[str, Any] = {
    "id": "e-1",
    "at": 1_700_000_000_123,
    "score": 0.5,
    "raw": b"\x00\xff",
    "ok": True,
    "kind": "b",
    "items": [{"n": 1}, {"n": -2}],
    "tags": {"x": None, "y": "z"},
}


class Codec:
    def __init__(self, record: RecordSchema = RECORD) -> None:
        self.registry = MemoryRegistry()
        self.registry.register(SUBJECT, record.text)
        self.encoder = Encoder(self.registry, SUBJECT, record)
        self.decoder = Decoder(self.registry, record)


values = st.fixed_dictionaries(
    {
        "id": st.text(),
        "at": st.integers(-(2**63), 2**63 - 1),
        "score": st.none() | st.floats(allow_nan=False),
        "raw": st.none() | st.binary(),
        "ok": st.booleans(),
        "kind": st.sampled_from(["a", "b"]),
        "items": st.lists(st.fixed_dictionaries({"n": st.integers(-(2**31), 2**31 - 1)}), max_size=5),
        "tags": st.dictionaries(st.text(), st.none() | st.text(), max_size=5),
    }
)


@given(values)
def test_what_is_encoded_decodes_to_the_same(value: dict[str, Any]) -> None:
    codec = Codec()
    assert codec.decoder.decode(codec.encoder.encode(value)) == value


def _flip(framed: bytes, at: int, byte: int) -> bytes:
    position = at % len(framed)
    return framed[:position] + bytes([byte]) + framed[position + 1 :]


MUTATIONS: list[Callable[[bytes, int, int], bytes]] = [
    _flip,
    lambda framed, at, _: framed[: at % len(framed)],
    lambda framed, at, byte: framed + bytes([byte]) * (at + 1),
    lambda framed, at, byte: framed[: 5 + at % 20] + bytes([byte]) * 12 + framed[5 + at % 20 :],
    lambda framed, at, _: framed[:5] + framed[5 + at % 20 :],
]


@given(values, st.sampled_from(MUTATIONS), st.integers(0, 200), st.integers(0, 255))
def test_mutated_bytes_decode_or_are_undecodable_and_nothing_else(
    value: dict[str, Any], mutate: Callable[[bytes, int, int], bytes], at: int, byte: int
) -> None:
    codec = Codec()
    try:
        decoded = codec.decoder.decode(mutate(codec.encoder.encode(value), at, byte))
    except UndecodableError as error:
        assert error.cause in {"bad_magic", "unknown_schema_id", "undecodable", "trailing_bytes"}  # noqa: PT017 - either outcome is right
    else:
        assert decoded.keys() == VALUE.keys()


@given(st.binary(max_size=200))
def test_random_bytes_behind_a_good_frame_never_raise_anything_else(body: bytes) -> None:
    codec = Codec()
    try:
        codec.decoder.decode(codec.encoder.prefix + body)
    except UndecodableError as error:
        assert error.schema_id == codec.encoder.schema_id  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("bytes_of", "cause"),
    [
        (lambda _: None, "tombstone"),
        (lambda _: b"", "bad_magic"),
        (lambda _: b"\x00\x00\x00\x01", "bad_magic"),
        (lambda framed: b"\x01" + framed[1:], "bad_magic"),
        (lambda framed: b"\x00\xff\xff\xff\xff" + framed[5:], "unknown_schema_id"),
        (lambda framed: framed[:-1], "undecodable"),
        (lambda framed: framed[:5], "undecodable"),
        (lambda framed: framed[:5] + b"\x02\xff" + framed[9:], "undecodable"),
        (lambda framed: framed + b"\x00", "trailing_bytes"),
    ],
)
def test_each_way_to_be_wrong_has_its_cause(bytes_of: Callable[[bytes], bytes | None], cause: str) -> None:
    codec = Codec()
    with pytest.raises(UndecodableError) as caught:
        codec.decoder.decode(bytes_of(codec.encoder.encode(VALUE)))
    assert caught.value.cause == cause


def test_an_outage_of_the_registry_does_not_matter_once_the_id_is_known() -> None:
    codec = Codec()
    framed = codec.encoder.encode(VALUE)
    codec.decoder.decode(framed)
    codec.registry.available = False
    assert codec.decoder.decode(framed) == VALUE
    assert codec.encoder.encode(VALUE) == framed


def test_an_outage_before_the_id_is_known_is_no_dead_letter_and_passes() -> None:
    codec = Codec()
    framed = codec.encoder.encode(VALUE)
    codec.registry.available = False
    with pytest.raises(UnavailableError):
        codec.decoder.decode(framed)
    codec.registry.available = True
    assert codec.decoder.decode(framed) == VALUE


def test_an_id_is_asked_for_once() -> None:
    codec = Codec()
    framed = codec.encoder.encode(VALUE)
    before = codec.registry.calls
    for _ in range(3):
        codec.decoder.decode(framed)
    assert codec.registry.calls == before + 1


def test_an_older_writer_is_read_with_the_readers_defaults() -> None:
    old = sample(FIELDS[:2])
    codec = Codec(old)
    new = sample([*FIELDS[:2], {"name": "added", "type": ["null", "string"], "default": None}], 2)
    framed = codec.encoder.encode({"id": "e", "at": 5})
    assert Decoder(codec.registry, new).decode(framed) == {"id": "e", "at": 5, "added": None}


def test_a_newer_writer_is_read_without_what_the_reader_does_not_know() -> None:
    codec = Codec()
    assert Decoder(codec.registry, sample(FIELDS[:2])).decode(codec.encoder.encode(VALUE)) == {
        "id": "e-1",
        "at": VALUE["at"],
    }


def test_a_writer_that_cannot_become_the_reader_is_undecodable() -> None:
    codec = Codec()
    reader = sample([{"name": "id", "type": "long"}])
    with pytest.raises(UndecodableError) as caught:
        Decoder(codec.registry, reader).decode(codec.encoder.encode(VALUE))
    assert caught.value.cause == "undecodable"


def test_a_registered_schema_that_is_none_is_undecodable() -> None:
    registry = MemoryRegistry()
    schema_id = registry.register("other", json.dumps({"type": "record", "name": "broken"}))
    with pytest.raises(UndecodableError) as caught:
        Decoder(registry, RECORD).decode(b"\x00" + schema_id.to_bytes(4, "big"))
    assert caught.value.cause == "undecodable"


def test_a_writer_that_has_another_unit_is_undecodable_and_says_which() -> None:
    micros = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}
    codec = Codec(sample([FIELDS[0], micros]))
    framed = codec.encoder.encode({"id": "e", "at": 5})
    decoder = Decoder(codec.registry, sample(FIELDS[:2]))
    for _ in range(2):
        with pytest.raises(UndecodableError, match="at: timestamp-micros would be read as timestamp-millis") as caught:
            decoder.decode(framed)
        assert (caught.value.cause, caught.value.schema_id) == ("undecodable", 1)


def test_the_writers_schema_is_given_where_values_with_its_id_can_be_read() -> None:
    codec = Codec(sample(FIELDS[:2]))
    reader = Decoder(codec.registry, sample([*FIELDS[:2], {"name": "added", "type": "int", "default": 0}], 2))
    schema = reader.writer_schema(1)
    assert [(field["name"], field["type"]) for field in schema["fields"]] == [
        ("id", "string"),
        ("at", {"type": "long"}),
    ]
    with pytest.raises(UndecodableError) as caught:
        reader.writer_schema(2)
    assert (caught.value.cause, caught.value.schema_id) == ("unknown_schema_id", 2)


def test_a_schema_that_is_not_registered_says_what_to_run() -> None:
    with pytest.raises(ConfigurationError, match="headgate schemas register"):
        Encoder(MemoryRegistry(), SUBJECT, RECORD)


def test_a_value_that_does_not_fit_names_its_field_and_not_its_content() -> None:
    with pytest.raises(RejectedError) as caught:
        Codec().encoder.encode({**VALUE, "at": "secret-content"})
    assert "at" in str(caught.value)
    assert "secret-content" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_prefix_is_the_frame_of_every_value() -> None:
    encoder = Codec().encoder
    assert encoder.prefix == b"\x00\x00\x00\x00\x01"
    assert encoder.encode(VALUE).startswith(encoder.prefix)


def test_a_field_by_itself_has_the_bytes_it_has_in_the_whole() -> None:
    contracts = Contracts.load()
    topic = contracts.topic("enriched-events")
    record = contracts.record(topic.record)
    registry = MemoryRegistry()
    registry.register(topic.subject, record.text)
    whole = Encoder(registry, topic.subject, record).encode(contracts.examples(record.name)["model_flag"])
    value = Decoder(registry, record).decode(whole)["agent_metadata"]
    codec = FieldCodec(record, "agent_metadata")
    assert codec.encode(value) in whole
    assert codec.decode(codec.encode(value)) == value
