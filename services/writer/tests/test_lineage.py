"""Commits as OpenLineage runs: offsets in, a snapshot out, columns from fields."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.lineage import LineageEmitter, LineageMetrics
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import MemoryBroker
from headgate_schemas import Contracts
from headgate_writer.landed import Landed
from headgate_writer.lineage.columns import leaves
from headgate_writer.lineage.events import CommitLineage
from headgate_writer.lineage.places import Place, kafka_namespace, stored_place, table_place
from headgate_writer.schema import POSITION_COLUMNS, decoded_schema, stored_schema
from headgate_writer.testing import MemoryCatalog
from openlineage.client.serde import Serde

from .replica import Replica, produce

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

TOPIC = "enriched-events"
CONTRACTS = Contracts.load()
RECORD = CONTRACTS.record(CONTRACTS.topic(TOPIC).record)
SCHEMA = stored_schema(decoded_schema(RECORD))
CATALOG = {"name": "lake", "type": "rest", "uri": "https://user:secret@catalog:8181/rest", "warehouse": "s3://bucket/w"}
LANDED = Landed(
    table="lakehouse.enriched_events",
    snapshot_id=4_711,
    starts={TopicPartition(TOPIC, 1): 0, TopicPartition(TOPIC, 0): 20},
    ends={TopicPartition(TOPIC, 1): 7, TopicPartition(TOPIC, 0): 31},
    schema=SCHEMA,
    rows=17,
    files=2,
    size_bytes=9_000,
    began_ms=1_764_000_000_000,
    landed_ms=1_764_000_000_750,
)


def maker() -> CommitLineage:
    place = table_place(LANDED.table, "s3://bucket/w/enriched_events", CATALOG)
    return CommitLineage("headgate", f"writer.{LANDED.table}", "kafka://broker:9092", place, {TOPIC: RECORD})


def told(landed: Landed = LANDED) -> list[dict[str, Any]]:
    return [json.loads(Serde.to_json(event)) for event in maker().events(landed)]


def test_a_commit_is_a_run_from_its_oldest_record_to_its_landing() -> None:
    begun, ended = told()
    assert (begun["eventType"], begun["eventTime"]) == ("START", "2025-11-24T16:00:00.000+00:00")
    assert (ended["eventType"], ended["eventTime"]) == ("COMPLETE", "2025-11-24T16:00:00.750+00:00")
    assert begun["run"] == ended["run"]
    assert (ended["job"]["namespace"], ended["job"]["name"]) == ("headgate", "writer.lakehouse.enriched_events")
    assert ended["job"]["facets"]["jobType"]["processingType"] == "STREAMING"
    assert ended["producer"] == ended["run"]["facets"]["processing_engine"]["_producer"]
    assert ended["producer"].startswith("pkg:pypi/headgate-writer@")


def test_the_same_commit_is_the_same_run_and_another_is_another() -> None:
    first = maker().events(LANDED)[0].run.runId
    assert maker().events(replace(LANDED, landed_ms=0))[0].run.runId == first
    assert maker().events(replace(LANDED, snapshot_id=4_712))[0].run.runId != first
    assert maker().events(replace(LANDED, ends=dict.fromkeys(LANDED.ends, 99)))[0].run.runId != first


def test_the_input_is_the_topic_with_the_offsets_of_each_partition() -> None:
    [dataset] = told()[1]["inputs"]
    assert (dataset["namespace"], dataset["name"]) == ("kafka://broker:9092", TOPIC)
    assert dataset["facets"]["datasetType"]["datasetType"] == "TOPIC"
    assert dataset["inputFacets"]["subset"]["inputCondition"] == {
        "type": "partition",
        "partitions": [
            {"identifier": "0", "dimensions": {"partition": 0, "firstOffset": 20, "endOffset": 31}},
            {"identifier": "1", "dimensions": {"partition": 1, "firstOffset": 0, "endOffset": 7}},
        ],
    }
    fields = {field["name"]: field for field in dataset["facets"]["schema"]["fields"]}
    assert (fields["event_timestamp"]["type"], fields["_offset"]["type"]) == ("timestamp-millis", "long")
    attributes = {field["name"]: field for field in fields["payload"]["fields"]}["attributes"]["fields"]
    assert "amount" in {field["name"] for field in attributes}


def test_the_output_is_the_snapshot_with_what_was_written_and_where_it_is() -> None:
    [dataset] = told()[1]["outputs"]
    facets = dataset["facets"]
    assert (dataset["namespace"], dataset["name"]) == ("s3://bucket", "w/enriched_events")
    statistics = dataset["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (17, 9_000, 2)
    assert facets["version"]["datasetVersion"] == "4711"
    assert facets["symlinks"]["identifiers"] == [
        {"namespace": "https://catalog:8181/rest", "name": "lakehouse.enriched_events", "type": "TABLE"}
    ]
    assert "secret" not in json.dumps(dataset)
    fields = {field["name"]: field for field in facets["schema"]["fields"]}
    assert list(fields) == SCHEMA.names
    assert (fields["event_timestamp"]["type"], fields["event_id"]["description"]) == (
        "timestamptz",
        next(field["doc"] for field in RECORD.schema["fields"] if field["name"] == "event_id"),
    )


def test_each_column_comes_from_its_field_and_positions_from_kafka() -> None:
    [dataset] = told()[1]["outputs"]
    lineage = dataset["facets"]["columnLineage"]["fields"]
    assert set(lineage) == set(leaves(SCHEMA)) - {"_ingested_at"}
    assert set(POSITION_COLUMNS.names) - set(lineage) == {"_ingested_at"}
    [source] = lineage["payload.attributes.amount"]["inputFields"]
    assert (source["namespace"], source["name"], source["field"]) == (
        "kafka://broker:9092",
        TOPIC,
        "payload.attributes.amount",
    )
    assert source["transformations"] == [{"type": "DIRECT", "subtype": "IDENTITY", "masking": False}]


def test_a_column_that_is_added_is_told_of_from_then_on() -> None:
    commits = maker()
    commits.events(LANDED)
    wider = SCHEMA.append(pa.field("tags", pa.map_(pa.string(), pa.list_(pa.struct([pa.field("n", pa.int64())])))))
    [dataset] = json.loads(Serde.to_json(commits.events(replace(LANDED, schema=wider))[1]))["outputs"]
    added = dataset["facets"]["schema"]["fields"][-1]
    assert (added["name"], added["type"], [field["name"] for field in added["fields"]]) == (
        "tags",
        "map",
        ["key", "value"],
    )


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("s3://bucket/a/b", Place("s3://bucket", "a/b")),
        ("file:///tmp/lake/t", Place("file", "/tmp/lake/t")),  # noqa: S108 - nothing is written there
        ("/tmp/lake/t", Place("file", "/tmp/lake/t")),  # noqa: S108 - nothing is written there
    ],
)
def test_locations_are_named_as_openlineage_names_them(location: str, place: Place) -> None:
    assert stored_place(location) == place


def test_the_first_broker_names_the_cluster() -> None:
    assert kafka_namespace("SASL_SSL://b-1:9098, b-2:9098") == "kafka://b-1:9098"


def test_commits_go_on_while_a_receiver_hangs() -> None:
    broker, catalog, metrics = MemoryBroker(), MemoryCatalog(), Metrics()
    broker.create_topic("events", 2)
    broker.create_topic("events.dlq", 1)
    hanging = threading.Event()
    sent: list[RunEvent] = []

    def send(event: RunEvent) -> None:
        hanging.wait(30)
        sent.append(event)

    emitter = LineageEmitter(send, LineageMetrics(metrics), queue_runs=3)
    seen: list[Landed] = []

    def on_landed(landed: Landed) -> None:
        seen.append(landed)
        emitter.emit(lambda: maker().events(LANDED))

    replica = Replica(broker, catalog, on_landed=on_landed)
    began_s = time.monotonic()
    for _ in range(20):
        produce(broker, 4)
        replica.worker.request_commit()
        replica.step(3, seconds=1)
    assert time.monotonic() - began_s < 5
    assert len(catalog.rows) == 80
    assert len(seen) == len(catalog.history)
    assert [landed.rows for landed in seen] == [4] * 20
    assert (seen[-1].starts, seen[-1].ends) == (
        {TopicPartition("events", 0): 38, TopicPartition("events", 1): 38},
        {TopicPartition("events", 0): 40, TopicPartition("events", 1): 40},
    )
    assert metrics.registry.get_sample_value("headgate_lineage_runs_total", {"outcome": "dropped"}) in {16.0, 17.0}
    hanging.set()
    emitter.close()
    assert len(sent) in {6, 8}


def test_who_tells_nobody_does_not_import_openlineage() -> None:
    code = "import sys, headgate_writer.app; sys.exit('openlineage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - this interpreter
