from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from headgate_producer.candidates import Candidate
from headgate_producer.pace import Pace
from headgate_producer.preparation import Preparation
from headgate_producer.sidefiles import json_lines
from headgate_producer.transmission import Summary, Transmission
from headgate_runtime.avro import Encoder
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from headgate_schemas import RecordSchema, TopicContract, Violation
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

Stored = Callable[[], list[dict[str, Any]]]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """A transmission over a broker in memory, and what it leaves beside the topic."""

    def __init__(self, folder: Path, preparation: Preparation, producer: MemoryProducer) -> None:
        self.clock = Clock()
        self._folder = folder
        self._preparation = preparation
        self._producer = producer

    def run(self, candidates: list[Candidate], rate: float | None = None) -> Summary:
        with json_lines(self._folder / "r.jsonl") as rejects, json_lines(self._folder / "l.jsonl") as labels:
            transmission = Transmission(
                self._preparation,
                self._producer,
                pace=Pace(rate, clock=self.clock),
                rejects=rejects,
                labels=labels,
                clock=self.clock,
                sleep=self.clock.sleep,
            )
            return transmission.run(candidates, flush_timeout_s=1.0)

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self._folder / name).read_bytes().splitlines()]


@pytest.fixture
def preparation(registry: MemoryRegistry, topic: TopicContract, record: RecordSchema) -> Preparation:
    return Preparation(topic, record, Encoder(registry, topic.subject, record))


@pytest.fixture
def bench(tmp_path: Path, broker: MemoryBroker, preparation: Preparation) -> Bench:
    return Bench(tmp_path, preparation, MemoryProducer(broker, queue_limit=100))


def offered(event: dict[str, Any], row: int, label: str | None = None, **change: Any) -> Candidate:
    return Candidate(row, {**event, "event_id": f"e-{row}", **change}, "file", row, {"row": row}, label=label)


def test_every_candidate_is_acknowledged_or_refused_and_none_is_lost(
    bench: Bench, stored: Stored, event: dict[str, Any]
) -> None:
    candidates = [
        offered(event, row, event_type="refund" if row % 10 == 0 else "transaction") for row in range(1, 1001)
    ]
    candidates.append(Candidate(0, None, "file", 1001, ["x"], fault=Violation("a", "mapping", "is wrong")))

    summary = bench.run(candidates)

    assert (summary.read, summary.acknowledged, summary.undelivered) == (1001, 900, 0)
    assert dict(summary.refused) == {"event_type_known": 100, "mapping": 1}
    assert {found["event_id"] for found in stored()} == {f"e-{row}" for row in range(1, 1001) if row % 10}
    rejects = bench.lines("r.jsonl")
    assert len(rejects) == 101
    assert rejects[0]["row"] == 10
    assert rejects[0]["rule"] == "event_type_known"
    assert rejects[0]["original"] == {"row": 10}
    assert rejects[-1] == {
        "source": "file",
        "row": 1001,
        "field": "a",
        "rule": "mapping",
        "message": "is wrong",
        "original": ["x"],
    }


def test_labels_go_to_the_side_file_and_never_into_the_event(
    bench: Bench, stored: Stored, event: dict[str, Any]
) -> None:
    summary = bench.run(
        [offered(event, 1, "fraud"), offered(event, 2), offered(event, 3, "fraud", event_type="refund")]
    )

    assert summary.labelled == 1
    assert bench.lines("l.jsonl") == [{"event_id": "e-1", "label": "fraud"}]
    assert "fraud" not in repr(stored())


def test_a_full_queue_is_waited_out(bench: Bench, stored: Stored, event: dict[str, Any]) -> None:
    bench.run([offered(event, row) for row in range(250)])

    assert len(stored()) == 250
    assert bench.clock.now > 100.0


def test_events_the_broker_never_took_are_rejected_by_name(
    bench: Bench, broker: MemoryBroker, event: dict[str, Any]
) -> None:
    broker.available = False

    summary = bench.run([offered(event, row, "fraud") for row in range(5)])

    assert (summary.acknowledged, summary.undelivered, summary.labelled) == (0, 5, 0)
    assert {reject["rule"] for reject in bench.lines("r.jsonl")} == {"not_delivered"}
    assert bench.lines("l.jsonl") == []


def test_a_record_that_is_too_large_is_rejected_and_the_rest_goes_on(
    bench: Bench, broker: MemoryBroker, stored: Stored, event: dict[str, Any]
) -> None:
    broker.max_record_bytes = 100

    summary = bench.run([offered(event, 1, source_system="s" * 64), offered(event, 2)])

    assert (summary.acknowledged, summary.undelivered) == (1, 1)
    assert [found["event_id"] for found in stored()] == ["e-2"]
    assert "larger than the topic allows" in bench.lines("r.jsonl")[0]["message"]


def test_the_rate_is_kept(bench: Bench, event: dict[str, Any]) -> None:
    summary = bench.run([offered(event, row) for row in range(101)], rate=50.0)

    assert summary.seconds == pytest.approx(2.0)


@given(st.floats(1.0, 1000.0), st.lists(st.floats(0.0, 0.2), min_size=1, max_size=100))
def test_a_stall_is_never_made_up_for_in_a_burst(rate: float, stalls: list[float]) -> None:
    clock = Clock()
    pace = Pace(rate, clock=clock)
    sent_at = []
    for stall in stalls:
        clock.sleep(pace.take())
        sent_at.append(clock())
        clock.sleep(stall)

    for first, time in enumerate(sent_at):
        within = sum(1 for other in sent_at[first:] if other < time + 1.0)
        assert within <= rate * 1.05 + 2
