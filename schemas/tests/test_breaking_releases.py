"""A release that breaks is refused with what breaks, and for whom."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from headgate_schemas import Contracts, check_contracts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("avro", "sets", "topics", "examples"):
        shutil.copytree(Contracts.load().directory / part, tmp_path / part)
    return tmp_path


def refused(folder: Path, name: str, schema: dict[str, Any]) -> list[str]:
    """What the check says of the next version of a record."""
    version = Contracts.load(folder).record(name).version + 1
    (folder / f"avro/{name}.v{version}.avsc").write_text(json.dumps(schema))
    return [problem for problem in check_contracts(Contracts.load(folder)) if "cannot read" in problem]


def newest(folder: Path, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(Contracts.load(folder).record(name).text)
    return schema


def test_each_topic_that_carries_the_record_is_named_with_its_readers(folder: Path) -> None:
    letters = folder / "topics/raw-events.dlq.yaml"
    letters.write_text(letters.read_text().replace("[writer, admin]", "[writer, pager]"))
    schema = newest(folder, "dead_letter")
    schema["fields"].append({"name": "severity", "type": "int", "doc": "How bad it is."})
    ends = [problem.partition("; breaks ")[2] for problem in refused(folder, "dead_letter", schema)]
    assert "readers of raw-events.dlq (writer, pager) from then on, on what it keeps of v1" in ends
    assert "readers of enriched-events.dlq (writer, admin) from then on, on what it keeps of v1" in ends


def test_a_nested_change_of_type_breaks_old_and_new_readers(folder: Path) -> None:
    schema = newest(folder, "base_event")
    attributes = schema["fields"][4]["type"]["fields"][0]["type"]["fields"]
    next(field for field in attributes if field["name"] == "device_id")["type"] = ["null", "long"]
    found = [problem.partition(" wrote: payload.attributes.")[2] for problem in refused(folder, "base_event", schema)]
    assert [(each.partition(";")[0], each.rpartition(") ")[2]) for each in found] == [
        ("device_id: string cannot be read as any of: null, long", "from then on, on what it keeps of v1"),
        ("device_id: long cannot be read as any of: null, string", "until they read with v2"),
    ]


def test_a_required_field_that_goes_breaks_those_who_still_read_it(folder: Path) -> None:
    schema = newest(folder, "decision_metric")
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "events"]
    metrics = folder / "topics/decision-metrics.yaml"
    metrics.write_text(metrics.read_text().replace("field: events\n", "field: window_end\n"))
    (problem,) = refused(folder, "decision_metric", schema)
    assert "events: is not written and has no default; breaks readers of decision-metrics (writer" in problem
    assert problem.endswith("until they read with v2")


def test_a_record_that_no_topic_carries_is_held_to_the_strictest(folder: Path) -> None:
    schema = {"type": "record", "name": "spare", "doc": "Nobody's.", "fields": []}
    (folder / "avro/spare.v1.avsc").write_text(json.dumps(schema))
    schema = {**schema, "fields": [{"name": "weight", "type": "int", "doc": "Grams."}]}
    (problem,) = refused(folder, "spare", schema)
    assert problem.endswith("no topic carries spare yet")
