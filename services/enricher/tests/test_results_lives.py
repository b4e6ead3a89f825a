"""Models' answers over many lives of their owner: whatever happens, none is asked for twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.testing import MemoryBroker
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .answers_owner import CONTRACT, FRESH, Owner, answer

if TYPE_CHECKING:
    from headgate_enricher.gateway.protocols import RecordedAnswer


class Lives(RuleBasedStateMachine):
    """Owners that answer, finish, commit, fail to commit and die in any order, one after the other."""

    @initialize()
    def start(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(CONTRACT.topic, 4)
        self.committed = FRESH
        self.kept: dict[int, RecordedAnswer] = {}
        self.done: set[int] = set()
        self.finished: set[int] = set()
        self.owner = Owner(self.broker, self.committed)
        self.consumed = 0

    @rule(events=st.integers(1, 4))
    def consume(self, events: int) -> None:
        for _ in range(events):
            self.owner.progress.admit(self.consumed)
            self.consumed += 1

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        if pending := self.pending():
            offset = data.draw(st.sampled_from(pending))
            found = self.owner.find(offset)
            assert found is not None or offset not in self.kept, "paid for twice"
            if found is None:
                self.owner.store(offset, text=f"answer {len(self.kept)}")
                self.kept[offset] = answer(f"answer {len(self.kept)}")
            else:
                assert found == self.kept[offset]
            self.finish(offset)

    @rule(data=st.data())
    def answer_and_die(self, data: st.DataObject) -> None:
        if pending := [offset for offset in self.pending() if offset not in self.kept]:
            offset = data.draw(st.sampled_from(pending))
            self.owner.store(offset, text=f"answer {len(self.kept)}")
            self.kept[offset] = answer(f"answer {len(self.kept)}")
            self.die()

    @rule(data=st.data())
    def finish_without_the_model(self, data: st.DataObject) -> None:
        if pending := self.pending():
            self.finish(data.draw(st.sampled_from(pending)))

    @rule(commits=st.booleans())
    def commit(self, *, commits: bool) -> None:
        mark = self.owner.mark()
        if commits:
            self.committed, self.done = mark, self.done | self.finished

    @rule()
    def die(self) -> None:
        self.owner.results.close()
        self.owner = Owner(self.broker, self.committed)
        self.finished = set()
        self.consumed = self.committed.watermark

    @invariant()
    def every_open_answer_is_behind_the_committed_start(self) -> None:
        if hasattr(self, "owner"):
            fresh = Owner(self.broker, self.committed)
            for offset, kept in self.kept.items():
                if offset not in self.done:
                    assert fresh.find(offset) == kept
            fresh.results.close()

    def pending(self) -> list[int]:
        return [offset for offset in range(self.consumed) if offset not in self.done | self.finished]

    def finish(self, offset: int) -> None:
        self.owner.progress.complete(offset)
        self.finished.add(offset)


Lives.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
