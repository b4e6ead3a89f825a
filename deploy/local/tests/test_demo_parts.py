"""The demo's smaller parts: what it removes, what it asks, what it calls wrong."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headgate_local.demo.disturbances import Disturbance, Disturber
from headgate_local.demo.lakehouse import freshness_ms, open_table
from headgate_local.demo.query import query
from headgate_local.demo.report import DemoReport
from headgate_local.demo.reviewer import Reviewed, answer_some
from headgate_local.demo.site import discard
from headgate_local.demo.verify import Comparison, Later
from headgate_local.folder import FolderLock, InUseError, StackError
from headgate_local.stack import Stack
from pyiceberg.catalog import load_catalog


def test_an_earlier_run_is_discarded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with FolderLock(data):
        (data / "kafka").mkdir()
    discard(data)
    assert not data.exists()
    discard(data)


def test_what_is_no_stack_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StackError, match="is not removed"):
        discard(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_run_that_goes_on_is_not_discarded(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(InUseError):
        discard(tmp_path)
    assert tmp_path.exists()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder whose table holds two rows of one event, with a time."""
    properties = Stack(tmp_path / "data").catalog
    Path(properties["uri"].removeprefix("sqlite:///")).parent.mkdir(parents=True)
    row = {"event_id": "a", "at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)}
    versions = [row | {"agent_metadata": {"revision": revision}} for revision in (1, 0)]
    catalog = load_catalog(**properties)
    catalog.create_namespace("lakehouse")
    rows = pa.Table.from_pylist(versions)
    catalog.create_table("lakehouse.enriched_events", schema=rows.schema).append(rows)
    return tmp_path


def test_rows_with_times_can_be_asked_for(stored: Path) -> None:
    columns, rows = query("SELECT * FROM events", stored)
    assert columns == ["event_id", "at", "agent_metadata"]
    assert [row["event_id"] for row in rows] == ["a", "a"]


def test_freshness_is_that_of_first_rows_for_later_ones_waited_for_a_person(stored: Path) -> None:
    table = open_table(Stack(stored / "data").catalog, "lakehouse.enriched_events")
    assert table is not None
    snapshot = table.current_snapshot()
    assert snapshot is not None
    produced_ms = dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp() * 1000
    assert freshness_ms(table, "at", "agent_metadata.revision") == [snapshot.timestamp_ms - produced_ms]
    table.delete("event_id = 'a'")  # its rows are in no live file any more, as after a compaction
    assert freshness_ms(table, "at", "agent_metadata.revision") == [snapshot.timestamp_ms - produced_ms]


def test_the_rows_that_hold_now_can_be_asked_for(stored: Path) -> None:
    _, rows = query("SELECT event_id, agent_metadata.revision FROM events_latest", stored)
    assert rows == [{"event_id": "a", "revision": 1}]


@pytest.mark.parametrize(
    "sql", ["SELECT nope", "SELECT CAST(event_id AS INT) FROM events", "FROM read_csv('/etc/hosts')"]
)
def test_a_wrong_statement_is_said_to_be_wrong(stored: Path, sql: str) -> None:
    with pytest.raises(StackError, match="the statement failed"):
        query(sql, stored)


def test_without_a_table_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make demo"):
        query("SELECT 1", tmp_path)


def report(**changes: Any) -> DemoReport:
    tiers = Counter(rules=7, model=2, fallback=1)
    known: dict[str, Any] = {
        "comparison": Comparison(events_in=10, rows=11, tiers=tiers, later={"a": [Later(1, "human", "allow")]}),
        "reviewed": Reviewed(Counter(a=1, b=1), {"a": "allow"}),
        "expected_events": 10,
        "dead_letters": 0,
        "freshness_ms": [float(row) for row in range(10)],
        "elapsed_s": 1.0,
        "total_s": 2.0,
    }
    return DemoReport(**(known | changes))


def test_an_exact_run_has_no_faults() -> None:
    assert report().faults == []
    assert report().figures()["decisions_by_tier_model"] == 2
    assert report().as_json()["reviews"] == {"requested": 2, "answered": 1, "later_rows": 1}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"dead_letters": 3}, "3 records went to dead letters"),
        ({"expected_events": 12}, "2 events did not reach the topic"),
        ({"comparison": Comparison(events_in=10, rows=9, missing=1, tiers=Counter(rules=9))}, "1 events are missing"),
        ({"comparison": Comparison(events_in=10, rows=10, tiers=Counter(rules=10))}, "by the tier model"),
        ({"reviewed": Reviewed(Counter(a=2), {"a": "allow"})}, "1 events were asked about more than once"),
        (
            {"reviewed": Reviewed(Counter(a=1), {"a": "flag_high_risk"})},
            "1 answers are not one later row with revision 1",
        ),
        ({"reviewed": Reviewed(Counter(b=1), {"b": "allow"})}, "1 later rows answer no review"),
        ({"reviewed": Reviewed()}, "no review was answered"),
    ],
)
def test_a_fault_is_named(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in report(**changes).faults)
    assert report(**changes).summary().startswith("The run is not exact")


def test_rows_whose_commit_time_is_not_known_any_more_are_counted() -> None:
    assert report().figures()["rows_without_freshness"] == 0
    assert "left out" not in report().summary()
    known_of_some = report(freshness_ms=[1.0, 2.0])
    assert known_of_some.figures()["rows_without_freshness"] == 8
    assert "8 rows are left out" in known_of_some.summary()


def test_disturbances_are_done_in_the_order_of_their_times() -> None:
    order: list[str] = []
    disturber = Disturber(
        [Disturbance(0.02, "late", lambda: order.append("late")), Disturbance(0, "soon", lambda: order.append("soon"))],
        say=lambda _: None,
    )
    disturber.start()
    disturber.finish(5)
    assert order == ["soon", "late"]
    assert {what: len(times) for what, times in disturber.done.items()} == {"soon": 1, "late": 1}


def test_a_disturbance_that_fails_fails_the_run() -> None:
    def fail() -> None:
        raise StackError("no such process")

    disturber = Disturber([Disturbance(0, "kill", fail)], say=lambda _: None)
    disturber.start()
    with pytest.raises(StackError, match="no such process"):
        disturber.finish(5)


def test_the_reviewer_overrides_what_is_flagged_and_approves_the_rest() -> None:
    called: list[tuple[str, ...]] = []

    def command(*words: str) -> str:
        called.append(words)
        events = words[2 : words.index("--comment")]
        return json.dumps({"answered": [{"event_id": event, "decision": words[1]} for event in events]})

    flagged, allowed = dict.fromkeys("acf", "flag_high_risk"), dict.fromkeys("bde", "allow")
    answered = answer_some(dict(sorted((flagged | allowed).items())), command)
    assert answered == {"a": "override", "c": "override", "b": "approve", "d": "approve", "e": "approve"}
    assert all(words[-3:] == ("--reviewer", "demo", "--json") for words in called)


def test_the_reviewer_with_nothing_to_see_answers_nothing() -> None:
    assert answer_some({}, lambda *_: "") == {}
