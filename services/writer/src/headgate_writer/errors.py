"""What can go wrong between a batch and its table, told apart by what the writer may do next."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

from headgate_runtime.errors import HeadgateError


class Acceptance(NamedTuple):
    """Something that only a person may let pass.

    Attributes:
        kind: ``incarnation``: of a topic, stored from its start beside the rows that are there. ``loss``: of the records
            between a position and the log's begin. ``table``: another one under the name, or a new one.
        value: ``topic/cluster id/topic id``, ``topic/partition/offset``, or the table's name.
    """

    kind: Literal["incarnation", "loss", "table"]
    value: str

    @property
    def body(self) -> dict[str, str]:
        """The body of the control call that accepts it."""
        return {self.kind: self.value}

    def __str__(self) -> str:
        """The control call that accepts it."""
        return f"POST /control/accept {json.dumps(self.body)}"


class ConflictError(HeadgateError):
    """Somebody else committed first: nothing of ours landed, and the same data files may be offered again."""


class UnknownOutcomeError(HeadgateError):
    """The commit was sent and no answer came back: it may have landed, now or later. Its files stay."""


class UnsafeToWriteError(HeadgateError):
    """Table and topic no longer fit together: going on would lose or double rows, so a person has to look.

    Attributes:
        accept: What the person may accept so that it goes on; None where something has to be put right first.
    """

    def __init__(self, message: str, accept: Acceptance | None = None) -> None:
        super().__init__(message)
        self.accept = accept


class NotStorableError(HeadgateError):
    """Records of a schema do not fit the table they are for, and the table cannot be made to fit them."""


class SourcesGoneError(HeadgateError):
    """Files that were compacted are no longer live as they were read: what was made of them is of no use."""
