"""A table in memory with the semantics the committer relies on, and faults on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from headgate_runtime.errors import UnavailableError

from headgate_writer.errors import ConflictError, NotStorableError, UnknownOutcomeError
from headgate_writer.positions import Positions
from headgate_writer.table import Head, Written

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

# refresh, write: away. conflict: somebody commits in between. lost: the request is lost. landed: the answer is lost.
# late: the request takes effect some time after its caller gave up.
Fault = Literal["refresh", "write", "conflict", "lost", "landed", "late"]


@dataclass
class MemoryCatalog:
    """What all writers of a test share.

    Attributes:
        rows: Partition and offset of every row, in the order they landed.
        positions: The offset map at the head; None stands for a table that has lost it.
        snapshot_id: The head.
        history: Every map that was committed.
        layout: As in :class:`Head`.
        columns: Names of the columns, as tables were last widened to; a name in ``taken`` cannot be added.
        late: Commits that have not taken effect yet.
    """

    rows: list[tuple[int, int]] = field(default_factory=list)
    positions: Positions | None = field(default_factory=Positions)
    snapshot_id: int | None = None
    history: list[Positions] = field(default_factory=list)
    layout: tuple[int, int] = (0, 0)
    columns: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    late: list[Callable[[], Head]] = field(default_factory=list)

    def head(self) -> Head:
        """Return the head."""
        return Head(self.snapshot_id, self.positions, self.layout)

    def swap(self, expected: int | None, rows: list[tuple[int, int]], positions: Positions) -> Head:
        """Append rows and map if ``expected`` is the head.

        Raises:
            ConflictError: It is not.
        """
        if expected != self.snapshot_id:
            raise ConflictError("branch main has changed")
        self.rows.extend(rows)
        self.positions = positions
        self.history.append(positions)
        self.touch()
        return self.head()

    def touch(self) -> None:
        """Commit a snapshot that moves nothing, as maintenance does."""
        self.snapshot_id = (self.snapshot_id or 0) + 1


class MemoryTable:
    """One writer's handle on the catalog; a fault strikes at the next call of its kind.

    Attributes:
        faults: Faults to come.
        writes: How often data files were written.
    """

    def __init__(self, catalog: MemoryCatalog) -> None:
        self.faults: list[Fault] = []
        self.writes = 0
        self._catalog = catalog

    def refresh(self) -> Head:
        """Return the head."""
        if self._strikes("refresh"):
            raise UnavailableError("catalog away")
        return self._catalog.head()

    def widen(self, schema: pa.Schema) -> None:
        """Keep the columns' names; a change is a change of layout."""
        if self._strikes("refresh"):
            raise UnavailableError("catalog away")
        if refused := self._catalog.taken & set(schema.names):
            raise NotStorableError(f"its column {refused.pop()} holds something else")
        if new := [name for name in schema.names if name not in self._catalog.columns]:
            self._catalog.columns += new
            self._catalog.layout = (self._catalog.layout[0] + 1, self._catalog.layout[1])

    def write(self, rows: pa.Table) -> Written:
        """Keep the rows' positions as the files."""
        if self._strikes("write"):
            raise UnavailableError("store away")
        self.writes += 1
        pairs = zip(rows["_kafka_partition"].to_pylist(), rows["_offset"].to_pylist(), strict=True)
        return Written((list(pairs),), rows.nbytes)

    def commit(self, head: Head, written: Written, positions: Positions) -> Head:
        """Swap the head, as far as the fault allows."""
        rows = [pair for file in written.files if isinstance(file, list) for pair in file]

        def swap() -> Head:
            return self._catalog.swap(head.snapshot_id, rows, positions)

        if self._strikes("conflict"):
            self._catalog.touch()
        if self._strikes("lost"):
            raise UnknownOutcomeError("no answer")
        if self._strikes("late"):
            self._catalog.late.append(swap)
            raise UnknownOutcomeError("no answer yet")
        landed = swap()
        if self._strikes("landed"):
            raise UnknownOutcomeError("no answer")
        return landed

    def _strikes(self, fault: Fault) -> bool:
        if fault in self.faults:
            self.faults.remove(fault)
            return True
        return False
