"""What can go wrong between a batch and its table, told apart by what the writer may do next."""

from __future__ import annotations

from headgate_runtime.errors import HeadgateError


class ConflictError(HeadgateError):
    """Somebody else committed first: nothing of ours landed, and the same data files may be offered again."""


class UnknownOutcomeError(HeadgateError):
    """The commit was sent and no answer came back: it may have landed, now or later. Its files stay."""


class UnsafeToWriteError(HeadgateError):
    """Table and topic no longer fit together: going on would lose or double rows, so a person has to look."""


class SourcesGoneError(HeadgateError):
    """Files that were compacted are no longer live as they were read: what was made of them is of no use."""
