"""Positions in topics, as people and the keys of dead letters write them: ``topic/partition/offset``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from headgate_runtime.records import Record


class Position(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a position.

        Raises:
            ConfigurationError: The text is none.
        """
        topic, *numbers = text.split("/")
        if not topic or len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):  # noqa: PLR2004
            raise ConfigurationError(f"{text!r} is no position: write TOPIC/PARTITION/OFFSET, such as raw-events/0/17.")
        return cls(topic, *map(int, numbers))


def source_of(letter: Record) -> Position | None:
    """The position of the record that a dead letter is about, which is the letter's key; None where the key is none."""
    try:
        return Position.parse((letter.key or b"").decode())
    except (ConfigurationError, UnicodeDecodeError):
        return None
