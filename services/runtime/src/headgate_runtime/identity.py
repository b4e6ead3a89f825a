"""Who a caller is and what they may do, whoever says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from headgate_runtime.errors import HeadgateError


class Role(IntEnum):
    """What somebody may do; each may what those before it may."""

    VIEWER = 1
    REVIEWER = 2
    OPERATOR = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proved who they are.

    Attributes:
        subject: Their lasting name at the issuer.
        role: The highest of their roles; None where they have none that is known here.
    """

    subject: str
    role: Role | None


class NotAuthenticatedError(HeadgateError):
    """A token proves nothing; the text says why, without the token."""


class Verifier(Protocol):
    """Takes tokens of people and programs."""

    def identify(self, token: str) -> Identity:
        """Say whose a token is.

        Raises:
            NotAuthenticatedError: Nobody's: it is broken, foreign, or its time is over.
            UnavailableError: Cannot be said now, for its issuer does not answer.
        """
