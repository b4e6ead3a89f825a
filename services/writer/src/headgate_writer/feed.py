"""One of the topics that a table is made of: its records become rows, dead letters, or rows about dead letters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from headgate_writer.errors import UnsafeToWriteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.deadletters import DeadLetters
    from headgate_runtime.records import OutgoingRecord, Record

    from headgate_writer.decode import BatchDecoder, Rejected


@dataclass(frozen=True, slots=True)
class Feed:
    """A topic on its way into a table.

    Attributes:
        topic: Topic.
        decoder: Its records to rows.
        letters: Builds the dead letters of those that cannot be rows.
        in_place: The topic itself takes dead letters: what cannot be a row of it is stored there and then as a letter
            about itself. Sent anywhere it would come back, or have no end.
    """

    topic: str
    decoder: BatchDecoder
    letters: DeadLetters
    in_place: bool = False

    def decode(self, records: Sequence[Record]) -> tuple[pa.Table, list[Rejected]]:
        """Decode records.

        Returns:
            Rows, those of letters in place among them, and the records that could not be decoded.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
            UnsafeToWriteError: A record can be no row in any way.
        """
        rows, rejected = self.decoder.decode_batch(records)
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

    def _about(self, rejected: Sequence[Rejected]) -> pa.Table:
        """Return the rows of letters that take their records' places."""
        letters = [replace(reject.record, value=self.letter(reject).value) for reject in rejected]
        rows, refused = self.decoder.decode_batch(letters)
        if refused:
            at = refused[0].record
            raise UnsafeToWriteError(
                f"{at.topic}/{at.partition}: record {at.offset} cannot be stored, nor a dead letter about it: "
                f"{refused[0].message}. Something other than Headgate wrote it: delete the records up to it from the topic"
            )
        return rows
