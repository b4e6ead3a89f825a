"""What the model calls of one deliberation have cost, answer by answer."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_schemas.agent import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_enricher.gateway.protocols import CallContext


@dataclass(frozen=True, slots=True)
class Spent:
    """What a deliberation has used in all.

    Attributes:
        model_id: The model that gave the last answer, else the one that was asked last; None where none was asked.
        usage: Calls and tokens that were paid for.
        cost_microdollars: Their price, in millionths of a US dollar.
        unanswered: Attempts sent that may have been paid all the same: cut off, timed out, or failed at work.
    """

    model_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_microdollars: int = 0
    unanswered: int = 0

    @property
    def calls(self) -> int:
        """Attempts that were paid for or may have been."""
        return self.usage.calls + self.unanswered


NOTHING_SPENT = Spent()


class Spending:
    """Collects what each answer of one deliberation cost, and numbers its calls.

    Args:
        context: The event the deliberation is about.
    """

    def __init__(self, context: CallContext) -> None:
        self.context = context
        self._calls = 0
        self._asked: str | None = None
        self._answered: str | None = None
        self._usage = Usage()
        self._cost_microdollars = 0
        self._unanswered = 0

    @property
    def spent(self) -> Spent:
        """What has been used until now."""
        return Spent(self._answered or self._asked, self._usage, self._cost_microdollars, self._unanswered)

    def next_call(self) -> int:
        """Number the next call, from 0: the same in every repetition of the deliberation."""
        number = self._calls
        self._calls += 1
        return number

    def asked(self, model_id: str) -> None:
        """Note that an attempt is being sent; until it is settled it may have been paid."""
        self._asked = model_id
        self._unanswered += 1

    def settled(self) -> None:
        """Note that an attempt has ended and its price is known, if only as nothing."""
        self._unanswered -= 1

    def answered(self, model_id: str, usage: Usage, cost_microdollars: int) -> None:
        """Note an answer; one that nobody has to pay for has an empty usage."""
        self._answered = model_id
        self._usage += usage
        self._cost_microdollars += cost_microdollars


_IN_CALL: ContextVar[Spending | None] = ContextVar("headgate_spending", default=None)


@contextmanager
def deliberation_of(context: CallContext) -> Iterator[Spending]:
    """Collect the spending of the model calls made inside, also in tasks started inside."""
    spending = Spending(context)
    token = _IN_CALL.set(spending)
    try:
        yield spending
    finally:
        _IN_CALL.reset(token)


def current_spending() -> Spending:
    """The spending of the deliberation that the running code belongs to.

    Raises:
        LookupError: The code runs outside of any deliberation.
    """
    spending = _IN_CALL.get()
    if spending is None:
        raise LookupError("A model is only called while deliberating on an event: use `deliberation_of`.")
    return spending
