"""Files that nothing refers to any more, each with the time it still has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Kind = Literal["expired", "orphan"]


class Condemned(NamedTuple):
    """A file that is to go.

    Attributes:
        kind: Whether a snapshot that has expired referred to it, or nothing ever did.
        since_s: When it was first seen unreferenced, monotonic seconds.
    """

    kind: Kind
    since_s: float


class Ledger:
    """Remembers files that nothing refers to; one that is referred to again, or is still, is struck out.

    It is kept in memory: what a replica forgets when it ends is found by the next listing of the store.
    """

    def __init__(self, *, grace_s: float, most: int = 100_000) -> None:
        """Begin empty.

        Args:
            grace_s: Seconds a file stays after it was first seen unreferenced: somebody may be reading it.
            most: Files remembered at most; what does not fit is found again later.
        """
        self._grace_s = grace_s
        self._most = most
        self._files: dict[str, Condemned] = {}

    def __len__(self) -> int:
        """Return how many files wait."""
        return len(self._files)

    def condemn(self, paths: Iterable[str], kind: Kind, now_s: float) -> None:
        """Remember files that nothing refers to."""
        for path in paths:
            if len(self._files) < self._most:
                self._files.setdefault(path, Condemned(kind, now_s))

    def spare(self, reachable: Collection[str]) -> None:
        """Strike out files that are reachable."""
        for path in [path for path in self._files if path in reachable]:
            del self._files[path]

    def due(self, now_s: float, limit: int) -> dict[str, Condemned]:
        """Return files whose time is up, ``limit`` at most."""
        found: dict[str, Condemned] = {}
        for path, condemned in self._files.items():
            if len(found) == limit:
                break
            if now_s - condemned.since_s >= self._grace_s:
                found[path] = condemned
        return found

    def strike(self, paths: Iterable[str]) -> None:
        """Forget files that are gone."""
        for path in paths:
            self._files.pop(path, None)
