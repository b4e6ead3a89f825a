"""What models answered the first time, found again by the position of the event; no model is asked."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import structlog
from headgate_runtime.errors import UnavailableError, UndecodableError
from headgate_runtime.state import Scratch

from headgate_enricher.gateway.errors import GatewayError
from headgate_enricher.results import answer_key, answer_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from headgate_runtime.records import Record, TopicPartition

    from headgate_enricher.gateway.protocols import CallContext, RecordedAnswer
    from headgate_enricher.intake import ValueDecoder
    from headgate_enricher.progress import PartitionProgress
    from headgate_enricher.results import ReadRange

_ROWS: Final = 1_000

logger = structlog.get_logger(__name__)


class NotRecordedError(GatewayError):
    """The answer is not among those that were recorded, or not any more."""

    reason = "not_recorded"


class RecordedAnswers:
    """The answers of a results topic, on disk; implements ``gateway.protocols.Recordings`` and ``stages.Answers``.

    All of the topic is read once, since an event's answers are on the partition of its source, which tells nothing of
    the partition that the decided event is on. In memory there is no more than a thousand of them.

    Args:
        decoder: Decodes ``model_result`` records.
        folder: Where the file is made; None takes the system's folder for temporary files.

    Raises:
        UnavailableError: The file cannot be made.
    """

    def __init__(self, decoder: ValueDecoder, folder: Path | None) -> None:
        self._decoder = decoder
        self._rows: list[tuple[bytes, bytes]] = []
        self._missed: set[tuple[TopicPartition, int]] = set()
        try:
            self._scratch = Scratch(folder, "recorded-answers")
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"recorded answers cannot be kept on disk: {error}; name a STATE_DIR") from error

    def load(self, read: ReadRange, partitions: Collection[TopicPartition]) -> None:
        """Take in all answers of these partitions, before anything is looked for.

        Raises:
            UnavailableError: The topic cannot be read to its end, or there is no room on disk.
        """
        read(dict.fromkeys(partitions, 0), self._take)
        self._write()
        (count,) = self._scratch.database.execute("SELECT count(*) FROM state").fetchone()
        logger.info("recorded answers read", answers=count)

    def find(self, context: CallContext, number: int) -> RecordedAnswer:
        """The answer this position got for its n-th call, counted from 0.

        Raises:
            NotRecordedError: There is none.
        """
        key = answer_key(context, number)
        found = self._scratch.database.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        try:
            if found is not None:
                return answer_of(self._decoder.decode(found[0]))
        except UndecodableError as error:
            logger.warning("a recorded answer cannot be read", key=key.decode(), error=str(error))
        self._missed.add((context.source, context.offset))
        raise NotRecordedError(f"no recorded answer {key.decode()}")

    async def store(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        """Keep nothing: what is found is kept already, and nothing else is asked for."""

    def missed(self, source: TopicPartition, offset: int) -> bool:
        """Whether an answer was looked for and not found for this position; asked once."""
        place = source, offset
        if place not in self._missed:
            return False
        self._missed.discard(place)
        return True

    def restore(self, partitions: Mapping[TopicPartition, tuple[PartitionProgress, int | None]]) -> None:
        """Read nothing: everything is there."""

    def answers_from(self, source: TopicPartition) -> None:  # noqa: ARG002 (Answers)
        """Tell nothing: nothing is ever read back."""
        return

    def release(self, partitions: Collection[TopicPartition]) -> None:
        """Forget nothing."""

    def close(self) -> None:
        """Remove the file."""
        self._scratch.close()

    def _take(self, record: Record) -> None:
        if record.key is not None and record.value is not None:
            self._rows.append((record.key, record.value))
            if len(self._rows) >= _ROWS:
                self._write()

    def _write(self) -> None:
        database = self._scratch.database
        try:
            database.execute("BEGIN")
            # The first one counts, as it does to an enricher that reads its answers back.
            database.executemany("INSERT OR IGNORE INTO state VALUES (?, ?)", self._rows)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            raise UnavailableError(f"recorded answers cannot be kept on disk: {error}; name a STATE_DIR") from error
        self._rows.clear()
