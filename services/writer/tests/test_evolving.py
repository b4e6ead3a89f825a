"""A table that grows while it is written: columns first, rows after, and writers that have not heard of it go on."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.avro import Encoder
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import Record, TopicPartition
from headgate_schemas import Contracts, RecordSchema
from headgate_schemas.records import parse_record
from headgate_writer.commit import Outcome
from headgate_writer.positions import Incarnation
from headgate_writer.runs import runs_of

from .opened import registered, tables_in

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from headgate_runtime.testing.registry import MemoryRegistry
    from headgate_writer.sink import Sink

TOPIC = "enriched-events"
CONTRACTS = Contracts.load()
CONTRACT = CONTRACTS.topic(TOPIC)
V1 = CONTRACTS.record(CONTRACT.record)
EVENT: dict[str, Any] = next(iter(CONTRACTS.examples(CONTRACT.record).values()))


def fields_of(schema: dict[str, Any], *path: str) -> list[dict[str, Any]]:
    """The fields of a record at a path, a nullable one's too."""
    for name in path:
        kind = next(field["type"] for field in schema["fields"] if field["name"] == name)
        schema = kind if isinstance(kind, dict) else next(branch for branch in kind if branch != "null")
    fields: list[dict[str, Any]] = schema["fields"]
    return fields


def evolved() -> RecordSchema:
    """A version with a new field, one in a nested record, and a wider type."""
    schema = copy.deepcopy(V1.schema)
    place = {"type": "record", "name": "place", "doc": "p", "fields": [{"name": "city", "type": "string", "doc": "c"}]}
    schema["fields"].append({"name": "place", "type": ["null", place], "default": None, "doc": "p"})
    decision = fields_of(schema, "agent_metadata")
    decision.append({"name": "rank", "type": "int", "default": 0, "doc": "r"})
    revision = next(field for field in decision if field["name"] == "revision")
    assert revision["type"] == "int"
    revision["type"] = "long"
    return parse_record(V1.name, 2, schema)


V2 = evolved()
V2_EVENT = EVENT | {
    "place": {"city": "Ulm"},
    "agent_metadata": EVENT["agent_metadata"] | {"rank": 4, "revision": 2**40},
}


class Rig:
    """A writer without Kafka; several on one folder share the table."""

    def __init__(self, folder: Path, registry: MemoryRegistry) -> None:
        self.registry = registry
        self.tables = tables_in(folder, CONTRACTS, registry)
        self.sink: Sink = self.tables.open(TOPIC)
        self.committer = self.sink.parts.committer
        self.committer.meet(Incarnation(TOPIC, "cluster", "id"))
        self.place()

    def place(self) -> None:
        self.sink.place(self.sink.locate([TopicPartition(TOPIC, number) for number in range(2)]))

    def take(self, offset: int, event: dict[str, Any], record: RecordSchema = V1, *, partition: int = 0) -> None:
        value = Encoder(self.registry, CONTRACT.subject, record).encode(event)
        self.sink.take(runs_of([Record(TOPIC, partition, offset, 0, None, value)]))

    def commit(self) -> Outcome:
        return self.sink.step(force=True)

    def rows(self) -> list[dict[str, Any]]:
        assert CONTRACT.table is not None
        table: pa.Table = self.tables.catalog.load_table(CONTRACT.table.name).scan().to_arrow()
        found: list[dict[str, Any]] = table.sort_by(
            [("_kafka_partition", "ascending"), ("_offset", "ascending")]
        ).to_pylist()
        return found

    def told(self) -> list[tuple[Any, Any, Any]]:
        return [
            (row.get("place"), row["agent_metadata"].get("rank"), row["agent_metadata"]["revision"])
            for row in self.rows()
        ]


@pytest.fixture
def registry() -> MemoryRegistry:
    return registered(CONTRACTS)


@pytest.fixture
def rig(tmp_path: Path, registry: MemoryRegistry) -> Rig:
    return Rig(tmp_path, registry)


OLD = (None, None, EVENT["agent_metadata"]["revision"])
NEW = ({"city": "Ulm"}, 4, 2**40)


def test_old_and_new_records_of_one_batch_land_together_and_old_rows_are_null(rig: Rig) -> None:
    rig.take(0, EVENT)
    rig.commit()
    rig.take(1, EVENT)
    rig.registry.register(CONTRACT.subject, V2.text)
    rig.take(2, V2_EVENT, V2)
    rig.take(3, EVENT)
    assert rig.commit() is Outcome.LANDED
    assert rig.told() == [OLD, OLD, NEW, OLD]


def test_a_writer_that_has_not_met_the_new_version_goes_on_into_the_wider_table(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    behind, ahead = Rig(tmp_path, registry), Rig(tmp_path, registry)
    behind.take(0, EVENT, partition=1)
    registry.register(CONTRACT.subject, V2.text)
    ahead.take(0, V2_EVENT, V2)
    ahead.commit()
    assert behind.commit() is Outcome.LANDED
    behind.take(1, EVENT, partition=1)
    assert behind.commit() is Outcome.LANDED
    assert behind.told() == [NEW, OLD, OLD]
    behind.take(2, V2_EVENT, V2, partition=1)
    assert behind.commit() is Outcome.LANDED
    assert behind.told() == [NEW, OLD, OLD, NEW]


def test_a_restarted_writer_accepts_the_wider_table_and_reads_the_newest_version_from_the_start(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    registry.register(CONTRACT.subject, V2.text)
    first = Rig(tmp_path, registry)
    first.take(0, V2_EVENT, V2)
    first.commit()
    again = Rig(tmp_path, registry)
    again.take(1, EVENT)
    again.take(2, V2_EVENT, V2)
    assert again.commit() is Outcome.LANDED
    assert again.told() == [NEW, OLD, NEW]


def test_a_writer_that_is_restarted_without_the_registry_s_newest_version_keeps_the_columns(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    wider = Rig(tmp_path, registry)
    registry.register(CONTRACT.subject, V2.text)
    wider.take(0, V2_EVENT, V2)
    wider.commit()
    rolled_back = Rig(tmp_path, registered(CONTRACTS))
    rolled_back.take(1, EVENT)
    assert rolled_back.commit() is Outcome.LANDED
    assert rolled_back.told() == [NEW, OLD]


def test_a_version_that_cannot_be_stored_is_set_aside_and_the_table_stays(rig: Rig) -> None:
    broken = copy.deepcopy(V1.schema)
    broken["fields"].append({"name": "weight", "type": "long", "doc": "w"})
    other = parse_record(V1.name, 2, broken)
    rig.registry.register(CONTRACT.subject, other.text)
    before = rig.tables.catalog.load_table("lakehouse.enriched_events").schema()
    rig.take(0, EVENT | {"weight": 3}, other)
    rig.take(1, EVENT)
    sent: list[Any] = list(rig.sink.parts.outbox._backlog)
    rig.sink.parts.outbox._backlog.clear()
    assert len(sent) == 1
    assert rig.tables.catalog.load_table("lakehouse.enriched_events").schema() == before
    letter = json.dumps(str(sent[0][0].value))
    assert "schema_not_storable" in letter
    assert "field weight is new, has to be there and has no default: give it one" in letter


def test_an_outage_of_registry_or_catalog_holds_the_records_and_changes_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.registry.register(CONTRACT.subject, V2.text)
    encoder = Encoder(rig.registry, CONTRACT.subject, V2)
    record = Record(TOPIC, 0, 0, 0, None, encoder.encode(V2_EVENT))
    rig.registry.available = False
    rig.sink.take(runs_of([record]))
    assert rig.sink.held
    rig.registry.available = True

    def away(*_: object) -> None:
        raise UnavailableError("catalog away")

    with monkeypatch.context() as patch:
        patch.setattr(rig.tables.catalog, "load_table", away)
        rig.sink.retry()
        assert rig.sink.held
        assert "catalog away" in str(rig.sink.info()["failure"])
    rig.sink.retry()
    assert rig.commit() is Outcome.LANDED
    assert rig.told() == [NEW]


def test_a_table_made_before_a_nested_record_was_in_the_contract_gets_it_now(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    schema = copy.deepcopy(V1.schema)
    decision = fields_of(schema, "agent_metadata")
    decision[:] = [field for field in decision if field["name"] != "session"]
    before = parse_record(V1.name, 1, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contracts, "record", lambda _, name: before if name == V1.name else CONTRACTS.versions(name)[-1])
        old_registry = registered(CONTRACTS)
        old = Rig(tmp_path, old_registry)
        event = copy.deepcopy(EVENT)
        event["agent_metadata"].pop("session", None)
        old.take(0, event, before)
        old.commit()
        assert "session" not in old.rows()[0]["agent_metadata"]
    session: dict[str, Any] = CONTRACTS.examples(CONTRACT.record)["session_challenge"]
    now = Rig(tmp_path, registry)
    now.take(1, session)
    assert now.commit() is Outcome.LANDED
    stored = [row["agent_metadata"]["session"] for row in now.rows()]
    assert (stored[0], stored[1]["intent"]) == (None, session["agent_metadata"]["session"]["intent"])
