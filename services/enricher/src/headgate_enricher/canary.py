"""A canary: a share of one agent's keys is decided by another agent, for good, to see how it does."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from headgate_runtime.config import SettingsGroup
from headgate_runtime.errors import ConfigurationError
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Collection

    from headgate_runtime.records import Record
    from headgate_schemas.agent import Event

    from headgate_enricher.routing import Decider
    from headgate_enricher.stages import Accepting

_DIGEST_BYTES = 8
_PERSON_BYTES = 16


class CanarySettings(SettingsGroup):
    """Which agent decides on a share of another's keys.

    Attributes:
        agent: The agent that is tried; an entry point of the group ``headgate.agents``.
        of: The agent whose events it gets a share of.
        percent: Share of the keys, 0 to 100. At 0 it only remembers, so that it starts to decide with a memory.
    """

    agent: str = Field(min_length=1)
    of: str = Field(min_length=1)
    percent: float = Field(ge=0, le=100)


class Canary:
    """Says which keys are the canary's.

    A key is hashed together with the canary's name: by another hash than the partitioner's, so that its share is the
    same on each partition, and so that another canary gets other keys. A larger share has the keys of a smaller one.

    Args:
        decider: The agent that is tried.
        of: The agent whose events it gets a share of.
        percent: Share of the keys, 0 to 100.
    """

    def __init__(self, decider: Decider, of: Decider, percent: float) -> None:
        self.decider = decider
        self.of = of
        self.percent = percent
        self._person = blake2b(decider.name.encode(), digest_size=_PERSON_BYTES).digest()
        self._below = int(percent / 100 * (1 << 8 * _DIGEST_BYTES))

    def takes(self, key: bytes | None) -> bool:
        """Whether the canary decides on a key's events; never on those without one."""
        if key is None:
            return False
        digest = blake2b(key, digest_size=_DIGEST_BYTES, person=self._person).digest()
        return int.from_bytes(digest, "big") < self._below


class CanaryIntake:
    """Hands the canary its share of the events that another intake has accepted.

    Args:
        intake: Decodes, checks and routes.
        canary: Which keys are the canary's.
    """

    def __init__(self, intake: Accepting, canary: Canary) -> None:
        self._accept = intake.accept
        self._canary = canary

    def accept(self, record: Record) -> tuple[Event, Decider]:
        """Accept a record; raises as the other intake."""
        event, decider = self._accept(record)
        canary = self._canary
        if decider is canary.of and canary.takes(record.key):
            decider = canary.decider
        return event, decider


def check_canary(canary: CanarySettings, agents: Collection[str]) -> None:
    """Check a canary against the agents that decide.

    Raises:
        ConfigurationError: The agent it gets a share of does not decide, or it decides already.
    """
    if canary.of not in agents:
        raise ConfigurationError(
            f"CANARY is of {canary.of!r}, which AGENTS does not name: name one of {sorted(agents)}."
        )
    if canary.agent in agents:
        raise ConfigurationError(f"CANARY tries {canary.agent!r}, which AGENTS names: it decides already.")
