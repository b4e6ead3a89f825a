"""Times as a person writes them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from headgate_runtime.errors import ConfigurationError


def milliseconds(text: str | None) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 time with its zone; None stays None.

    Raises:
        ConfigurationError: It is none, or does not say its zone.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no ISO 8601 time.") from error
    if at.tzinfo is None:
        raise ConfigurationError(f"{text!r} does not say its zone: write {text}Z where it is UTC.")
    return round(at.timestamp() * 1000)


def iso(milliseconds: int) -> str:
    """A time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def readable_time(milliseconds: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def readable_span(milliseconds: int) -> str:
    """A span in days or hours; -1 is for ever, as Kafka has it."""
    if milliseconds < 0:
        return "for ever"
    days = milliseconds / 86_400_000
    return f"{days:g} days" if days >= 1 else f"{days * 24:.1f} hours"
