"""One of the topics that a table is made of: its records become rows, dead letters, or rows about dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from headgate_writer.errors import UnsafeToWriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.deadletters import DeadLetters
    from headgate_runtime.records import OutgoingRecord, Record
    from headgate_schemas import RecordSchema

    from headgate_writer.decode import BatchDecoder, Rejected
    from headgate_writer.reader import TableReader


@dataclass(slots=True)
class Feed:
    """A topic on its way into a table.

    Attributes:
        topic: Topic.
        reader: What the table's records are read as.
        make_decoder: Makes a decoder of the topic's records that reads them as a record.
        letters: Builds the dead letters of those that cannot be rows.
        in_place: The topic itself takes dead letters: what cannot be a row of it is stored there and then as a letter
            about itself. Sent anywhere it would come back, or have no end.
    """

    topic: str
    reader: TableReader
    make_decoder: Callable[[RecordSchema], BatchDecoder]
    letters: DeadLetters
    in_place: bool = False
    _decoder: BatchDecoder = field(init=False)
    _reads: RecordSchema = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the record as it is."""
        self._follow()

    def decode(self, records: Sequence[Record]) -> tuple[pa.Table, list[Rejected]]:
        """Decode records.

        Returns:
            Rows, those of letters in place among them, and the records that could not be decoded.

        Raises:
            UnavailableError: Registry or catalog are needed and away; nothing was decoded.
            UnsafeToWriteError: A record can be no row in any way.
        """
        admitted, refused = self.reader.admit(records)
        if self.reader.record is not self._reads:
            self._follow()
        rows, rejected = self._decoder.decode_batch(admitted)
        rejected = [*refused, *rejected]
        if rejected and self.in_place:
            rows = pa.concat_tables([rows, self._about(rejected)])
        return rows, rejected

    def letter(self, reject: Rejected) -> OutgoingRecord:
        """Build the dead letter of a record."""
        return self.letters.record(
            reject.record,
            cause=reject.cause,
            message=reject.message,
            field=reject.field,
            rule=reject.rule,
            schema_id=reject.schema_id,
        )

    def _follow(self) -> None:
        self._reads = self.reader.record
        self._decoder = self.make_decoder(self._reads)

    def _about(self, rejected: Sequence[Rejected]) -> pa.Table:
        """Return the rows of letters that take their records' places."""
        letters = [replace(reject.record, value=self.letter(reject).value) for reject in rejected]
        rows, refused = self._decoder.decode_batch(letters)
        if refused:
            at = refused[0].record
            raise UnsafeToWriteError(
                f"{at.topic}/{at.partition}: record {at.offset} cannot be stored, nor a dead letter about it: "
                f"{refused[0].message}. Something other than Headgate wrote it: delete the records up to it from the topic"
            )
        return rows
