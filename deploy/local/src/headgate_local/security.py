"""Who may connect to the stack."""

from enum import StrEnum


class Security(StrEnum):
    """Anybody of this machine, or users with passwords over TLS, who may do what the contracts say."""

    PLAIN = "plain"
    SCRAM = "scram"
