"""The committer, step by step, and under every order of faults hypothesis can think of."""

from __future__ import annotations

import contextlib
import math
import random
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from headgate_runtime.records import TopicPartition
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.errors import Acceptance, ConflictError, UnsafeToWriteError
from headgate_writer.outbox import Receipts
from headgate_writer.positions import Incarnation, Positions
from headgate_writer.testing import Fault, MemoryCatalog, MemoryTable
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

TOPIC = Incarnation("events", "cluster", "topic-id")
LATER = Incarnation("events", "cluster", "another-id")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def of(offsets: dict[int, int]) -> dict[TopicPartition, int]:
    return {TopicPartition("events", partition): offset for partition, offset in offsets.items()}


def committer_of(
    table: MemoryTable,
    clock: Clock,
    life: Incarnation = TOPIC,
    accepted: tuple[Acceptance, ...] = (),
    files_hold_s: float = math.inf,
) -> Committer:
    rng = random.SystemRandom()
    committer = Committer(table, clock=clock, rng=rng, accepted=accepted, files_hold_s=files_hold_s)
    committer.meet(life)
    return committer


def rows_of(partition: int, offsets: list[int]) -> pa.Table:
    return pa.table(
        {"_kafka_partition": pa.array([partition] * len(offsets), pa.int32()), "_offset": pa.array(offsets, pa.int64())}
    )


@dataclass
class Rig:
    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    clock: Clock = field(default_factory=Clock)
    files_hold_s: float = 1e9

    def __post_init__(self) -> None:
        self.table = MemoryTable(self.catalog)
        self.committer = committer_of(self.table, self.clock, files_hold_s=self.files_hold_s)

    def batch(self, start: int, end: int) -> Batch:
        batch = Batch(of({0: start}), of({0: end}), rows_of(0, list(range(start, end))))
        self.committer.submit(batch)
        return batch

    def settle(self) -> list[Outcome]:
        """Advance until the batch is gone."""
        outcomes = []
        while self.committer.batch is not None:
            self.clock.now += 60
            outcomes.append(self.committer.advance())
        return outcomes


def test_rows_and_positions_land_together() -> None:
    rig = Rig()
    rig.batch(0, 3)
    assert rig.settle() == [Outcome.LANDED]
    assert rig.catalog.rows == [(0, 0), (0, 1), (0, 2)]
    assert rig.committer.seen() == of({0: 3})


def test_a_conflict_is_tried_again_with_the_same_files() -> None:
    rig = Rig()
    rig.table.faults = ["conflict"]
    rig.batch(0, 3)
    assert rig.settle() == [Outcome.CONFLICT, Outcome.LANDED]
    assert rig.table.writes == 1
    assert len(rig.catalog.rows) == 3


def test_files_that_maintenance_may_take_for_orphans_are_written_anew_and_not_committed() -> None:
    rig = Rig(files_hold_s=59)
    rig.table.faults = ["conflict"]
    rig.batch(0, 3)
    assert rig.settle() == [Outcome.CONFLICT, Outcome.LANDED]
    assert rig.table.writes == 2
    assert rig.catalog.rows == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("fault", ["landed", "lost"])
def test_a_lost_answer_neither_loses_nor_doubles(fault: Fault) -> None:
    rig = Rig()
    rig.table.faults = [fault]
    rig.batch(0, 3)
    assert rig.settle() == [Outcome.UNKNOWN, Outcome.LANDED]
    assert rig.catalog.rows == [(0, 0), (0, 1), (0, 2)]
    assert len(rig.catalog.history) == 1


def test_a_commit_that_takes_effect_after_its_retry_is_refused() -> None:
    rig = Rig()
    rig.table.faults = ["late"]
    rig.batch(0, 3)
    assert rig.settle() == [Outcome.UNKNOWN, Outcome.LANDED]
    with pytest.raises(ConflictError):
        rig.catalog.late.pop()()
    assert len(rig.catalog.rows) == 3


def test_a_stale_writer_is_fenced_and_moves_nothing() -> None:
    rig = Rig()
    rig.batch(0, 2)
    rig.catalog.swap(None, [(0, 0)], Positions().advanced(TOPIC, {0: 5, 1: 7}))
    assert rig.settle() == [Outcome.FENCED]
    assert rig.catalog.rows == [(0, 0)]
    assert rig.committer.seen() == of({0: 5, 1: 7})


def test_another_writer_s_identical_batch_is_not_taken_for_one_s_own() -> None:
    rig = Rig()
    rig.batch(0, 2)
    rig.catalog.swap(None, [(0, 0), (0, 1)], Positions().advanced(TOPIC, {0: 2}))
    assert rig.settle() == [Outcome.FENCED]
    assert rig.table.writes == 0


def test_other_partitions_keep_what_the_head_says() -> None:
    rig = Rig()
    rig.committer.stored()
    rig.catalog.swap(None, [], Positions().advanced(TOPIC, {1: 500}))
    rig.batch(0, 2)
    rig.settle()
    assert rig.committer.seen() == of({0: 2, 1: 500})


def test_nothing_is_sent_while_the_catalog_or_the_store_is_away() -> None:
    rig = Rig()
    rig.table.faults = ["refresh", "write", "refresh"]
    rig.batch(0, 1)
    assert rig.settle() == [Outcome.UNAVAILABLE] * 3 + [Outcome.LANDED]
    assert rig.committer.failure is None


def test_backing_off_does_not_block() -> None:
    rig = Rig()
    rig.table.faults = ["refresh"]
    rig.batch(0, 1)
    assert rig.committer.advance() is Outcome.UNAVAILABLE
    assert rig.committer.failure == "catalog away"
    assert rig.committer.advance() is Outcome.WAITING


def test_no_commit_passes_an_unacknowledged_dead_letter() -> None:
    rig = Rig()
    receipts = Receipts(pending=1)
    rig.committer.submit(Batch(of({0: 0}), of({0: 1}), rows_of(0, []), receipts))
    assert rig.committer.advance() is Outcome.WAITING
    receipts.pending = 0
    assert rig.committer.advance() is Outcome.LANDED
    assert rig.committer.seen() == of({0: 1})


def test_files_are_written_again_when_the_layout_has_changed() -> None:
    rig = Rig()
    rig.table.faults = ["conflict"]
    rig.batch(0, 2)
    rig.committer.advance()
    rig.catalog.layout = (1, 0)
    assert rig.settle() == [Outcome.LANDED]
    assert rig.table.writes == 2


def test_a_table_with_rows_and_no_map_stops_the_writer() -> None:
    rig = Rig(MemoryCatalog(positions=None, snapshot_id=3))
    with pytest.raises(UnsafeToWriteError, match="Roll back"):
        rig.committer.stored()


def test_a_topic_created_again_stops_the_writer_until_it_is_accepted() -> None:
    catalog = MemoryCatalog(positions=Positions().advanced(TOPIC, {0: 9}), snapshot_id=1)
    refused = committer_of(MemoryTable(catalog), Clock(), LATER)
    with pytest.raises(UnsafeToWriteError, match="events/cluster/another-id"):
        refused.stored()
    accepted = committer_of(MemoryTable(catalog), Clock(), LATER, (Acceptance("incarnation", str(LATER)),))
    assert accepted.stored() == {}
    accepted.submit(Batch(of({0: 0}), of({0: 1}), rows_of(0, [0])))
    assert accepted.advance() is Outcome.LANDED
    with pytest.raises(UnsafeToWriteError, match="topic-id"):
        committer_of(MemoryTable(catalog), Clock()).stored()


PARTITIONS = 2
# Offsets of the log: transaction markers and aborted records leave gaps.
LOG = [offset for offset in range(600) if offset % 7 not in {3, 4}]


@dataclass
class Writer:
    """A process: what it has read is lost with it, what it has sent is not."""

    table: MemoryTable
    committer: Committer
    positions: dict[int, int] = field(default_factory=dict)
    buffered: dict[int, list[int]] = field(default_factory=dict)

    def place(self) -> None:
        self.committer.drop()
        self.buffered = {}
        stored = self.committer.stored()
        self.positions = {number: stored.get(TopicPartition("events", number), 0) for number in range(PARTITIONS)}


class ExactlyOnce(RuleBasedStateMachine):
    """Writers that own the same partitions at once, die, hang and lose answers, beside foreign commits."""

    writers = st.integers(0, 2)

    @initialize()
    def start(self) -> None:
        self.catalog = MemoryCatalog()
        self.clock = Clock()
        self.all = [self._writer() for _ in range(3)]

    def _writer(self) -> Writer:
        table = MemoryTable(self.catalog)
        writer = Writer(table, committer_of(table, self.clock))
        writer.place()
        return writer

    @rule(who=writers)
    def kill_and_restart(self, who: int) -> None:
        self.all[who] = self._writer()

    @rule(who=writers, partition=st.integers(0, PARTITIONS - 1), count=st.integers(1, 20))
    def consume(self, who: int, partition: int, count: int) -> None:
        writer = self.all[who]
        mine = writer.buffered.setdefault(partition, [])
        expected = mine[-1] + 1 if mine else self._consumed(writer, partition)
        mine.extend([offset for offset in LOG if offset >= expected][:count])

    def _consumed(self, writer: Writer, partition: int) -> int:
        batch, place = writer.committer.batch, TopicPartition("events", partition)
        return batch.ends[place] if batch and place in batch.ends else writer.positions[partition]

    @rule(who=writers)
    def close_batch(self, who: int) -> None:
        writer = self.all[who]
        read = {partition: offsets for partition, offsets in writer.buffered.items() if offsets}
        if writer.committer.batch is not None or not read:
            return
        starts = {partition: writer.positions[partition] for partition in read}
        ends = {partition: offsets[-1] + 1 for partition, offsets in read.items()}
        rows = pa.concat_tables([rows_of(partition, offsets) for partition, offsets in read.items()])
        writer.committer.submit(Batch(of(starts), of(ends), rows))
        writer.buffered = {}

    @rule(
        who=writers,
        fault=st.sampled_from([None, None, "refresh", "write", "conflict", "lost", "landed", "late"]),
        seconds=st.sampled_from([0.0, 60.0]),
    )
    def advance(self, who: int, fault: Fault | None, seconds: float) -> None:
        writer = self.all[who]
        self.clock.now += seconds
        writer.table.faults = [fault] if fault else []
        batch = writer.committer.batch
        outcome = writer.committer.advance()
        if outcome is Outcome.LANDED and batch is not None:
            writer.positions.update({place.partition: end for place, end in batch.ends.items()})
        elif outcome is Outcome.FENCED:
            writer.table.faults = []
            writer.place()

    @rule()
    def foreign_commit(self) -> None:
        self.catalog.touch()

    @rule()
    def late_commit_takes_effect(self) -> None:
        if self.catalog.late:
            with contextlib.suppress(ConflictError):
                self.catalog.late.pop(0)()

    @invariant()
    def rows_are_exactly_the_log_up_to_the_positions(self) -> None:
        positions = self.catalog.positions.of(TOPIC) if self.catalog.positions else {}
        expected = [(p, offset) for p, end in positions.items() for offset in LOG if offset < end]
        assert sorted(self.catalog.rows) == sorted(expected)

    @invariant()
    def positions_never_move_back(self) -> None:
        for earlier, later in zip(self.catalog.history, self.catalog.history[1:], strict=False):
            before, after = earlier.of(TOPIC), later.of(TOPIC)
            assert all(after[partition] >= offset for partition, offset in before.items())


ExactlyOnce.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestExactlyOnce = ExactlyOnce.TestCase
