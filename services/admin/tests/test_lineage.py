"""The way of one event, told from rows, offset maps and the records at their positions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_admin.deadletters.position import Position
from headgate_admin.lineage.calls import ModelCall
from headgate_admin.lineage.storing import stored_by
from headgate_admin.lineage.way import told
from headgate_runtime.errors import RejectedError
from headgate_runtime.records import Record

from .lake import TOPIC, Lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(tmp_path)
    yield lake
    lake.close()


def row(revision: int, offset: int) -> dict[str, Any]:
    return {
        "agent_metadata": {"revision": revision, "decision": "allow", "tier": "rules", "decision_reason": "usual"},
        "processing_metadata": {
            "ingestion_time": AT,
            "processing_time": AT,
            "source_topic": "raw-events",
            "source_partition": 0,
            "source_offset": 7,
            "trace_id": "abc",
        },
        "_topic": TOPIC,
        "_kafka_partition": 0,
        "_offset": offset,
        "_ingested_at": AT,
    }


def record_at(topic: str, number: int, offset: int) -> Record | None:
    if topic != "raw-events":
        return None
    headers = (("event-id", b"e-1"), ("x-person", b"ann"))
    return Record(topic, number, offset, 1_764_072_000_000, b"ann", b"value of ann", headers)


def test_the_commit_that_stored_a_row_is_the_first_past_its_offset(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    wanted = lake.append([(0, 1), (1, 5)], {0: 2, 1: 6})
    lake.append([(0, 2)], {0: 3, 1: 6})
    found = stored_by(lake.table.metadata, Position(TOPIC, 0, 1))
    assert found is not None
    assert (found.snapshot_id, found.exact) == (wanted, True)


def test_a_row_whose_commit_may_have_expired_says_so(lake: Lake) -> None:
    first = lake.append([(0, 0), (0, 1)], {0: 2})
    found = stored_by(lake.table.metadata, Position(TOPIC, 0, 1))
    assert found is not None
    assert (found.snapshot_id, found.exact) == (first, False)


def test_a_position_that_is_not_stored_has_no_commit(lake: Lake) -> None:
    assert stored_by(lake.table.metadata, Position(TOPIC, 0, 0)) is None
    lake.append([(0, 0)], {0: 1})
    assert stored_by(lake.table.metadata, Position(TOPIC, 0, 1)) is None
    assert stored_by(lake.table.metadata, Position("other", 0, 0)) is None


def test_the_way_has_every_step_and_nothing_personal(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    snapshot = lake.append([(0, 1)], {0: 2})
    call = ModelCall(
        {
            "number": 0,
            "agent_version": "v",
            "model_id": "m",
            "input_tokens": 10,
            "output_tokens": 2,
            "cost_microdollars": 3,
            "reused": False,
            "answered_at": 1_764_072_000_000,
            "answer": "about ann",
        }
    )
    outcome = {
        "action": "override",
        "decision": "allow",
        "priority": "low",
        "decided_at": AT,
        "reviewer": "Ann Other",
        "comment": "ann rang",
    }
    review = {"outcome": outcome, "_topic": "review-outcomes", "_kafka_partition": 1, "_offset": 4}
    found = told("e-1", lake.table, [row(0, 1), row(1, 5)], record_at, calls=[call], reviews=[review])
    assert found["source"]["position"] == "raw-events/0/7"
    assert found["source"]["headers"] == {"event-id": "e-1", "x-person": None}
    assert [each["revision"] for each in found["revisions"]] == [0, 1]
    assert found["revisions"][0]["stored_by"]["snapshot_id"] == snapshot
    assert found["revisions"][0]["freshness_s"] is not None
    assert found["revisions"][1]["stored_by"] is None
    assert found["revisions"][0]["record"] == {"position": f"{TOPIC}/0/1", "in_the_log": False}
    assert found["model_calls"][0]["cost_microdollars"] == 3
    assert found["reviews"] == [
        {
            "position": "review-outcomes/1/4",
            "action": "override",
            "decision": "allow",
            "priority": "low",
            "decided_at": AT.isoformat(),
        }
    ]
    assert "ann" not in str(found).lower()


def test_an_event_without_a_row_is_told(lake: Lake) -> None:
    with pytest.raises(RejectedError, match="dead letter"):
        told("e-1", lake.table, [], cast("Any", record_at), calls=[], reviews=[])
