"""One record in a registry, in as many versions as a test gives it, and every decoder this installation has for it."""

from __future__ import annotations

import io
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import Message
from fastavro import schemaless_writer
from headgate_runtime.avro import Decoder
from headgate_runtime.kafka.consumer import lazy_records
from headgate_runtime.native import installed_decoder
from headgate_runtime.strict import StrictDecoder
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import RecordSchema, TopicContract, compile_rules
from headgate_schemas.records import parse_record
from headgate_writer.columnar import ColumnDecoder, plain_schema
from headgate_writer.decode import BatchDecoder
from headgate_writer.schema import decoded_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from headgate_runtime.records import Record
    from headgate_writer.decode import Rejected

NAME, MAKE_NATIVE = installed_decoder()
DECODERS = ["fastavro"] if MAKE_NATIVE is None else ["fastavro", "native"]
NOW_MS = 1_700_000_000_000


def record_of(*fields: dict[str, Any], version: int = 1) -> RecordSchema:
    return parse_record("reading", version, {"type": "record", "name": "reading", "fields": list(fields)})


def contract_of(*rules: dict[str, Any]) -> TopicContract:
    return TopicContract.model_validate(
        {
            "topic": "readings",
            "description": "Readings.",
            "owner": "plant",
            "record": "reading",
            "compatibility": "FULL_TRANSITIVE",
            "partitions": 1,
            "retention_ms": -1,
            "cleanup_policy": "delete",
            "fields": {"key": None},
            "producers": [],
            "consumers": [],
            "rules": [{"name": f"rule_{n}", **rule} for n, rule in enumerate(rules)],
        }
    )


class Reference(StrictDecoder):
    """The reference, which counts what it is asked for."""

    asked = 0

    def decode(self, value: bytes | None) -> dict[str, Any]:
        self.asked += 1
        return super().decode(value)


class World:
    """A reader's record, its contract, and schemas of writers."""

    def __init__(self, reader: RecordSchema, contract: TopicContract | None = None) -> None:
        self.reader = reader
        self.contract = contract or contract_of()
        self.registry = MemoryRegistry()
        self.references = {name: Reference(Decoder(self.registry, reader)) for name in DECODERS}

    def schema_id(self, record: RecordSchema) -> int:
        return self.registry.register("readings-value", record.text)

    def encode(self, value: dict[str, Any], record: RecordSchema | None = None) -> bytes:
        writer = record or self.reader
        stream = io.BytesIO()
        stream.write(struct.pack(">bI", 0, self.schema_id(writer)))
        schemaless_writer(stream, writer.raw, value)
        return stream.getvalue()

    def decoder(self, name: str, **native_options: int) -> BatchDecoder:
        fast = None
        if name == "native" and MAKE_NATIVE is not None:
            make = partial(MAKE_NATIVE, **native_options)
            fast = ColumnDecoder(Decoder(self.registry, self.reader), self.reader, self.contract, make)
        check, columns = compile_rules(self.contract), decoded_schema(self.reader)
        return BatchDecoder(self.references[name], check, columns, lambda: NOW_MS, fast)

    def decode_alike(self, values: Sequence[bytes | None]) -> tuple[pa.Table, list[Rejected]]:
        """Decode with every decoder; each gives the same rows and the same rejected records, and loses none."""
        records = to_records(values)
        rows, rejected = self.decoder("fastavro").decode_batch(records)
        rows.validate(full=True)
        assert sorted([*offsets(rows), *(each.record.offset for each in rejected)]) == list(range(len(values)))
        for name in DECODERS[1:]:
            own_rows, own_rejected = self.decoder(name).decode_batch(records)
            own_rows.validate(full=True)
            assert own_rejected == rejected
            assert as_comparable(own_rows) == as_comparable(rows)
            assert own_rows.schema.equals(rows.schema)
        return rows, rejected


def to_records(values: Iterable[bytes | None]) -> Sequence[Record]:
    """Records as a consumer gives them: made when somebody looks."""
    return lazy_records(
        [
            Message(topic="readings", partition=0, offset=offset, timestamp=(1, 0), value=value)
            for offset, value in enumerate(values)
        ]
    )


def offsets(rows: pa.Table) -> list[int]:
    return rows["_offset"].to_pylist()


def as_comparable(rows: pa.Table) -> str:
    """Rows as text: NaN equals itself there, zero has its sign, and an instant may be of any year."""
    return repr(rows.cast(plain_schema(rows.schema)).to_pylist())
