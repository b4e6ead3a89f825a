"""The next version of a test's record, events of it, and what DuckDB reads of a table on its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
from headgate_runtime.records import OutgoingRecord
from headgate_schemas.records import parse_record

from tests.integration.writers import PARTITIONS

if TYPE_CHECKING:
    import pyarrow as pa
    from headgate_runtime.avro import Encoder
    from headgate_runtime.kafka.producer import KafkaProducer
    from headgate_schemas import RecordSchema
    from pyiceberg.table import Table

    from tests.integration.writers import World

RANK, CITY = 2**40, "Ulm"


def evolved(world: World) -> RecordSchema:
    """The next version: a new record, a new field in a nested record, and an int that is a long now."""
    schema = json.loads(world.contracts.record(world.contract.record).text)
    place = {"type": "record", "name": "place", "fields": [{"name": "city", "type": "string"}]}
    schema["fields"].append({"name": "place", "type": ["null", place], "default": None})
    decision = next(field["type"]["fields"] for field in schema["fields"] if field["name"] == "agent_metadata")
    decision.append({"name": "rank", "type": ["null", "long"], "default": None})
    revision = next(field for field in decision if field["name"] == "revision")
    revision["type"] = "long"
    return parse_record(world.contract.record, 2, schema)


def newer(event: dict[str, Any]) -> dict[str, Any]:
    return event | {
        "place": {"city": CITY},
        "agent_metadata": event["agent_metadata"] | {"rank": RANK, "revision": RANK},
    }


def send(world: World, producer: KafkaProducer, encoder: Encoder, event: dict[str, Any], prefix: str) -> None:
    event_id = f"{prefix}-{len(world.sent)}"
    value = encoder.encode({**event, "event_id": event_id})
    producer.send(OutgoingRecord(world.topic, None, value, partition=len(world.sent) % PARTITIONS))
    world.sent.append(event_id)


def rows_by_duckdb(table: Table, query: str) -> pa.Table:
    """What DuckDB, which reads metadata and files on its own, makes of a query over ``{source}``."""
    with duckdb.connect() as connection:
        for module in (duckdb_extension_avro, duckdb_extension_iceberg):
            extension = next(Path(module.__file__).parent.rglob("*.duckdb_extension"))
            connection.execute(f"LOAD '{extension}'")
        return connection.execute(query.format(source=f"iceberg_scan('{table.metadata_location}')")).to_arrow_table()


def rows_by_pyiceberg(table: Table, query: str) -> pa.Table:
    """The same query over the rows that pyiceberg reads."""
    with duckdb.connect() as connection:
        connection.register("rows", table.scan().to_arrow())
        return connection.execute(query.format(source="rows")).to_arrow_table()
