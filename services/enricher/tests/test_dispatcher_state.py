"""The dispatcher under random completions, aborts, crashes, revokes and losses: exactly once and in order, always."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headgate_enricher.progress import decode_done
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .plain_cluster import INSTANCES, KINDS, SOURCES, Cluster, Member, is_refused

if TYPE_CHECKING:
    from headgate_runtime.records import TopicPartition


class DispatcherMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.cluster = Cluster()
        self.clock = [0.0]
        self.members = [Member(self.cluster, self.clock) for _ in range(INSTANCES)]
        for number, member in enumerate(self.members):
            member.assign(SOURCES[number::INSTANCES])

    @rule(
        source=st.sampled_from(SOURCES),
        key=st.sampled_from([b"a", b"b", None]),
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=10),
        gap=st.integers(0, 9),
    )
    def produce(self, source: TopicPartition, key: bytes | None, kinds: list[str], gap: int) -> None:
        for kind in kinds:
            self.cluster.append(source, key, kind, gap)

    @rule(number=st.integers(0, INSTANCES - 1), most=st.integers(1, 8))
    def poll(self, number: int, most: int) -> None:
        self.members[number].poll(most)

    @rule(number=st.integers(0, INSTANCES - 1), index=st.integers(0, 20), decided=st.booleans())
    def answer(self, number: int, index: int, *, decided: bool) -> None:
        if self.members[number].model.asked:
            self.members[number].model.answer(index, decided=decided)

    @rule(number=st.integers(0, INSTANCES - 1), seconds=st.sampled_from([0.0, 0.15, 6.0]))
    def tick(self, number: int, seconds: float) -> None:
        self.clock[0] += seconds
        self.members[number].dispatcher.tick(draining=False)

    @rule(commits=st.integers(1, 3))
    def commits_fail(self, commits: int) -> None:
        self.cluster.failing_commits = commits

    @rule(loads=st.integers(1, 3))
    def loads_fail(self, loads: int) -> None:
        self.cluster.failing_loads = loads

    @rule(number=st.integers(0, INSTANCES - 1))
    def crash(self, number: int) -> None:
        owned = list(self.members[number].positions)
        self.members[number].dispatcher.close()
        self.members[number] = Member(self.cluster, self.clock)
        self.members[number].assign(owned)

    @rule(source=st.sampled_from(SOURCES), lost=st.booleans(), back=st.booleans())
    def rebalance(self, source: TopicPartition, *, lost: bool, back: bool) -> None:
        owner = next(number for number, member in enumerate(self.members) if source in member.positions)
        self.members[owner].release(source, lost=lost)
        self.members[owner if back else 1 - owner].assign([source])

    @invariant()
    def nothing_is_doubled(self) -> None:
        if hasattr(self, "cluster"):
            counts = Counter((source, offset) for source, offset, _, _ in self.cluster.outputs)
            assert all(count == 1 for count in counts.values()), counts

    @invariant()
    def outputs_of_a_key_are_in_input_order(self) -> None:
        if hasattr(self, "cluster"):
            last: dict[tuple[TopicPartition, bytes], int] = {}
            for source, offset, key, topic in self.cluster.outputs:
                if key is not None and topic == "out":
                    assert offset > last.get((source, key), -1)
                    last[source, key] = offset

    @invariant()
    def memory_is_that_of_the_committed_events(self) -> None:
        if hasattr(self, "cluster"):
            assert self.cluster.remembered() == self.cluster.recomputed()

    @invariant()
    def progress_says_what_is_committed(self) -> None:
        if hasattr(self, "cluster"):
            assert {source: mark.watermark for source, mark in self.cluster.marks.items()} == self.cluster.offsets
            for source, mark in self.cluster.marks.items():
                bits = decode_done(mark.done)
                said = {
                    record.offset
                    for record in self.cluster.logs[source]
                    if record.offset < mark.watermark or bits >> (record.offset - mark.watermark) & 1
                }
                assert said == {offset for of, offset, _, _ in self.cluster.outputs if of == source}

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.cluster.failing_commits = self.cluster.failing_loads = 0
        for _ in range(1000):
            self.clock[0] += 6.0
            for member in self.members:
                member.poll(8)
                while member.model.asked:
                    member.model.answer(0, decided=True)
                member.dispatcher.tick(draining=False)
            if sum(map(len, self.cluster.logs.values())) == len(self.cluster.outputs):
                break
        wanted = {
            (source, record.offset, "dlq" if is_refused(record) else "out")
            for source, log in self.cluster.logs.items()
            for record in log
        }
        assert {(source, offset, topic) for source, offset, _, topic in self.cluster.outputs} == wanted
        assert not any(member.dispatcher.busy() or member.dispatcher.why_not_ready() for member in self.members)
        assert self.cluster.remembered() == self.cluster.recomputed()
        for member in self.members:
            member.dispatcher.close()
        self.nothing_is_doubled()
        self.outputs_of_a_key_are_in_input_order()


TestDispatcher = DispatcherMachine.TestCase
TestDispatcher.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
