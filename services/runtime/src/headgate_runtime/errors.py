"""The few kinds of error a service has to tell apart; adapters translate theirs into these at the edge."""

from __future__ import annotations


class HeadgateError(Exception):
    """Base of all errors Headgate raises on purpose; its text says what to do."""


class ConfigurationError(HeadgateError):
    """The service cannot start as it is configured."""


class UnavailableError(HeadgateError):
    """A dependency (broker, registry, catalog, store) does not answer now; the same call may succeed later."""


class FencedError(HeadgateError):
    """Another instance has taken over; this one must leave and start clean."""


class InDoubtError(HeadgateError):
    """Whether a transaction was committed is not known: leave, and start clean, which settles it."""


class RejectedError(HeadgateError):
    """A dependency refused for good (authorisation, unknown topic, record too large): repeating will not help."""


class UndecodableError(HeadgateError):
    """A record's bytes are not what its topic's contract says.

    Attributes:
        cause: Code for the dead letter: ``bad_magic``, ``unknown_schema_id``, ``undecodable``, ``trailing_bytes``, ``tombstone``.
        schema_id: Schema id in the frame, None where it has none.
    """

    def __init__(self, cause: str, message: str, schema_id: int | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.schema_id = schema_id


class BackpressureError(UnavailableError):
    """The producer's queue is full: let what is queued leave first, then send again."""


class UnknownSchemaError(RejectedError):
    """The registry answers, and it does not know the schema."""
