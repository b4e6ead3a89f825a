"""Puts the records of dead letters back onto their topic, each once.

What was put back is written to a topic of its own, in the transaction that puts it back, and the transactional id of a
topic's replays has one holder at a time: two people who replay the same letter at once put it back once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.errors import RejectedError, UndecodableError
from headgate_runtime.records import OutgoingRecord

from headgate_admin.deadletters.display import headers_of
from headgate_admin.times import readable_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headgate_runtime.avro import Decoder, Encoder
    from headgate_runtime.kafka.protocols import TransactionalProducer
    from headgate_runtime.records import Headers
    from headgate_schemas import Violation

    from headgate_admin.deadletters.letters import Letter
    from headgate_admin.deadletters.position import Position
    from headgate_admin.reading import ReadAt

REPLAYED_FROM: Final = "replayed-from"
REPLAYED_BY: Final = "replayed-by"
_IN_A_TRANSACTION: Final = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """A letter that is to be put back.

    Attributes:
        letter: The letter.
        record: What is put back; None where it is not.
        mended: Whether the value is another than the one that failed.
        why_not: Why it is not put back, and what to do; None where it is.
    """

    letter: Letter
    record: OutgoingRecord | None
    mended: bool
    why_not: str | None = None

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {
            "source": str(self.letter.source),
            "letter": str(self.letter.position),
            "cause": self.letter.value["cause"],
            "mended": self.mended,
            "left": self.why_not,
        }


@dataclass(frozen=True, slots=True)
class Replayer:
    """Decides which letters of a topic can be put back, and how.

    Attributes:
        topic: The topic they came from.
        decoder: Of its values.
        check: First rule of its contract that a value breaks.
        read_at: Reads a record that a letter had no room for.
        operator: Who puts them back.
    """

    topic: str
    decoder: Decoder
    check: Callable[[Mapping[str, Any]], Violation | None]
    read_at: ReadAt
    operator: str

    def plan(
        self,
        letters: Iterable[Letter],
        replays: Mapping[Position, Mapping[str, Any]],
        *,
        value: bytes | None = None,
        again: bool = False,
    ) -> list[Candidate]:
        """Say of each letter what is put back, or why nothing is.

        Args:
            letters: The letters.
            replays: What was put back already.
            value: Put back in place of the value that failed.
            again: Also what was put back already.
        """
        return [self._candidate(letter, replays.get(letter.source), value, again=again) for letter in letters]

    def _candidate(
        self, letter: Letter, earlier: Mapping[str, Any] | None, mended: bytes | None, *, again: bool
    ) -> Candidate:
        if earlier is not None and not again:
            when, who = readable_time(earlier["replayed_at"]), earlier["replayed_by"]
            why = f"put back at {when} by {who} already: --again puts it back once more"
            return Candidate(letter, None, mended is not None, why)
        try:
            return Candidate(letter, self._record(letter, mended), mended is not None)
        except RejectedError as error:
            return Candidate(letter, None, mended is not None, str(error))

    def _record(self, letter: Letter, mended: bytes | None) -> OutgoingRecord:
        if letter.source.topic != self.topic:
            raise RejectedError(f"is of {letter.source.topic}, which others read too: it is not put back from here")
        key, value, headers = letter.value["key"], letter.value["value"], headers_of(letter)
        if value is None and letter.value["cause"] != "tombstone":
            original = self.read_at(*letter.source)
            if original is None:
                raise RejectedError("was too large for its letter, and has left the log")
            key, value, headers = original.key, original.value, original.headers
        sent = value if mended is None else mended
        self._require_good(sent)
        return OutgoingRecord(self.topic, key, sent, self._marked(headers, letter.source))

    def _require_good(self, value: bytes | None) -> None:
        try:
            violation = self.check(self.decoder.decode(value))
        except UndecodableError as error:
            raise RejectedError(f"would fail again: {error.cause}. Mend it: --value-file") from error
        if violation is not None:
            raise RejectedError(f"would fail again: {violation.message}. Mend it: --value-file")

    def _marked(self, headers: Headers, source: Position) -> Headers:
        kept = tuple(header for header in headers if header[0] not in {REPLAYED_FROM, REPLAYED_BY})
        return (*kept, (REPLAYED_FROM, str(source).encode()), (REPLAYED_BY, self.operator.encode()))


def put_back(
    candidates: Sequence[Candidate],
    producer: TransactionalProducer,
    notes: OutgoingNotes,
    operator: str,
    *,
    now_ms: int,
) -> None:
    """Send what is to be put back, each with the note that it was; what a transaction holds, all or nothing.

    Raises:
        FencedError: Somebody else replays this topic now.
        HeadgateError: The brokers do not take it, or do not answer.
    """
    for start in range(0, len(candidates), _IN_A_TRANSACTION):
        producer.begin()
        for candidate in candidates[start : start + _IN_A_TRANSACTION]:
            if candidate.record is not None:
                producer.send(candidate.record)
                producer.send(notes.note(candidate, operator, now_ms=now_ms))
        producer.commit({}, None)


@dataclass(frozen=True, slots=True)
class OutgoingNotes:
    """Makes the records that say what was put back.

    Attributes:
        topic: Their topic.
        encoder: Encodes them.
    """

    topic: str
    encoder: Encoder

    def note(self, candidate: Candidate, operator: str, *, now_ms: int) -> OutgoingRecord:
        """The record that says that a letter was put back."""
        source, letter = candidate.letter.source, candidate.letter.position
        value = {
            **{f"source_{name}": part for name, part in source._asdict().items()},
            **{f"letter_{name}": part for name, part in letter._asdict().items()},
            "cause": candidate.letter.value["cause"],
            "mended": candidate.mended,
            "replayed_at": now_ms,
            "replayed_by": operator,
        }
        return OutgoingRecord(self.topic, str(source).encode(), self.encoder.encode(value))
