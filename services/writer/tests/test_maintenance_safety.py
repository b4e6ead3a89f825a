"""No live file is ever deleted: random histories of everything that commits, maintains, hangs and comes back late."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_writer.errors import SourcesGoneError
from headgate_writer.maintenance.compaction import Compacted, compact
from headgate_writer.maintenance.maintainer import DeletionPolicy
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from .upkept import TOPIC, UpkeptTable, drive, rows

if TYPE_CHECKING:
    from headgate_writer.iceberg import IcebergTable
    from headgate_writer.table import Written

ORPHAN_AGE_S = 100.0


class Histories(RuleBasedStateMachine):
    """Two maintainers, a writer, a zombie writer and a zombie compaction over one table.

    Zombies obey the one rule they have in the writer: what they wrote is given up at half of the orphans' age.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.upkept = UpkeptTable(self.folder, deletion=DeletionPolicy(10, ORPHAN_AGE_S, per_s=5))
        self.rival = self.upkept.another_maintainer()
        self.zombie: IcebergTable = self.upkept.handle()
        self.held: tuple[Written, int, float] | None = None
        self.late: tuple[Compacted, float] | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 3), partition=st.integers(0, 1), days=st.integers(1, 2))
    def store(self, count: int, partition: int, days: int) -> None:
        self.upkept.store(count, partition=partition, days=days)

    @rule(seconds=st.sampled_from([1.0, 11.0, 40.0, 90.0]))
    def later(self, seconds: float) -> None:
        self.upkept.later(seconds)

    @rule(everything=st.booleans(), rival=st.booleans())
    def maintain(self, *, everything: bool, rival: bool) -> None:
        drive((self.rival if rival else self.upkept.maintainer).round(everything=everything))

    @rule(rival=st.booleans())
    def clean_up(self, *, rival: bool) -> None:
        """Condemn what nothing refers to, let its grace pass, and delete it."""
        for _ in range(2):
            self.maintain(everything=True, rival=rival)
            self.upkept.later(11)
        self.maintain(everything=False, rival=rival)

    @rule(steps=st.integers(1, 8))
    def maintain_and_die(self, steps: int) -> None:
        """A replica is killed in the middle of a round: its files stay, and what it remembered is gone."""
        left = iter(range(steps))
        drive(self.upkept.another_maintainer().round(everything=True), until=lambda _: next(left, None) is None)

    @precondition(lambda self: self.held is None)
    @rule()
    def zombie_writes(self) -> None:
        start = self.upkept.next.get(9, 0)
        self.zombie.refresh()
        self.held = self.zombie.write(rows(start, partition=9)), start, self.upkept.now

    @precondition(lambda self: self.held is not None)
    @rule()
    def zombie_commits_late(self) -> None:
        assert self.held is not None
        (written, start, since), self.held = self.held, None
        if self.upkept.now - since <= ORPHAN_AGE_S / 2:
            head = self.zombie.refresh()
            assert head.positions is not None
            self.zombie.commit(head, written, head.positions.advanced(TOPIC, {9: start + 1}))
            self.upkept.next[9] = start + 1

    @precondition(lambda self: self.late is None and self.upkept.next)
    @rule()
    def zombie_compacts(self) -> None:
        survey = self.upkept.survey()
        groups: dict[Any, list[Any]] = {}
        for file in survey.files:
            groups.setdefault(file.partition, []).append(file)
        self.zombie.refresh()
        some = [group for group in groups.values() if len(group) > 1][:1]
        if some:
            compacted = compact(self.zombie.metadata, self.zombie.io, survey, some, ("at",))
            self.late = compacted, self.upkept.now

    @precondition(lambda self: self.late is not None)
    @rule()
    def zombie_replaces_late(self) -> None:
        assert self.late is not None
        (compacted, since), self.late = self.late, None
        if self.upkept.now - since <= ORPHAN_AGE_S / 2:
            with contextlib.suppress(SourcesGoneError):  # somebody else has compacted them
                self.zombie.replace(self.zombie.refresh(), compacted)

    @invariant()
    def everything_reachable_is_there_and_rows_are_exact(self) -> None:
        if self.upkept.next:
            self.upkept.assert_whole()


# A step is a commit or more, so that shrinking a history would take longer than a test may.
Histories.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
test_no_live_file_is_ever_deleted = Histories.TestCase


def test_after_all_of_it_orphans_go_and_every_row_stays(tmp_path: Path) -> None:
    upkept = UpkeptTable(tmp_path, deletion=DeletionPolicy(10, ORPHAN_AGE_S, per_s=1000))
    for _ in range(4):
        upkept.store(2)
    drive(upkept.another_maintainer().round(everything=True), until=lambda found: isinstance(found, Compacted))
    assert upkept.unreferenced()
    upkept.later(ORPHAN_AGE_S + 1)
    upkept.maintain(everything=True)
    upkept.later(11)
    upkept.maintain()
    upkept.maintain()
    upkept.later(11)
    upkept.maintain()
    assert upkept.unreferenced() == []
    upkept.assert_whole()
