"""What the committer needs of a table: look at its head, write files, swap the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from headgate_writer.positions import Positions


@dataclass(frozen=True, slots=True)
class Head:
    """A table as it stood when it was last looked at.

    Attributes:
        snapshot_id: The head snapshot, None before the first.
        positions: The offset map that holds there; None where the table has rows and no map.
        layout: Changes when data files written before no longer fit: schema id and partition spec id.
    """

    snapshot_id: int | None
    positions: Positions | None
    layout: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Written:
    """Data files in the store that no snapshot need refer to.

    Attributes:
        files: One object a file; only the table that wrote them looks inside.
        size_bytes: Their size together.
    """

    files: Sequence[object] = ()
    size_bytes: int = 0


class Table(Protocol):
    """A table with snapshots and a compare-and-swap commit."""

    def refresh(self) -> Head:
        """Read the head from the catalog.

        Raises:
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: The table was dropped, or is another one under the same name.
        """

    def widen(self, schema: pa.Schema) -> None:
        """Give the table the columns of a schema that it lacks; rows without them can still be written.

        Raises:
            NotStorableError: It cannot hold the rows of this schema.
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: As :meth:`refresh`.
        """

    def write(self, rows: pa.Table) -> Written:
        """Write rows to data files that no snapshot refers to yet.

        Raises:
            UnavailableError: The store does not take them now.
        """

    def commit(self, head: Head, written: Written, positions: Positions) -> Head:
        """Append data files and the offset map in one snapshot, provided that ``head`` is still the head.

        Returns:
            The new head.

        Raises:
            ConflictError: It is not; nothing landed.
            UnavailableError: The store does not take the files a commit needs; nothing was sent.
            UnknownOutcomeError: Anything else happened; it may have landed.
        """
