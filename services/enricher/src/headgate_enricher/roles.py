"""What an enricher is for: to decide, to shadow the agents that decide, or to replay what they decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from headgate_enricher.config import Settings

Role = Literal["decide", "shadow", "replay"]
"""``decide`` reads events; ``shadow`` and ``replay`` read decided ones, and what they decide does not hold."""

DECIDING_GROUP: Final = "enricher"


def check_role(settings: Settings) -> None:
    """Check that settings go together with the role.

    Raises:
        ConfigurationError: They do not; the text says what to set.
    """
    role = settings.role
    if role != "decide" and settings.group_id == DECIDING_GROUP:
        raise ConfigurationError(
            f"GROUP_ID is that of the enrichers that decide, and ROLE is {role}: name a group of its own."
        )
    if role == "replay" and settings.replay.topic is None:
        raise ConfigurationError("ROLE is replay, and REPLAY__TOPIC does not say where to: run `headgate replay`.")
    if role == "shadow" and settings.canary is not None:
        raise ConfigurationError("A shadow has no CANARY: name the agent that is tried in AGENTS.")
    if role == "shadow" and settings.budget.limits:
        raise ConfigurationError(
            "BUDGET__LIMITS of a shadow would replace those of the agents that decide: limit <agent>.shadow there."
        )
