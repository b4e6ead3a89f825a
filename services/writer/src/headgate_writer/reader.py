"""What a table's records are read as, and how that grows when newer versions of the record come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from headgate_runtime.errors import UnknownSchemaError
from headgate_runtime.records import column_of

from headgate_writer.decode import Rejected
from headgate_writer.errors import NotStorableError
from headgate_writer.evolution import merged_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.records import Record
    from headgate_schemas import RecordSchema

_log = structlog.get_logger()

# A Confluent frame: a zero byte and the schema's id.
_FRAME_BYTES = 5


class TableReader:
    """The record that every topic of a table is read as.

    Attributes:
        record: It; replaced by a wider one when a newer version is met.
    """

    def __init__(
        self,
        record: RecordSchema,
        *,
        schema_of: Callable[[int], Mapping[str, Any]],
        widen: Callable[[RecordSchema], None],
    ) -> None:
        """Begin with the contract's record.

        Args:
            record: It.
            schema_of: Asks the registry for the schema of an id.
            widen: Gives the table the columns of a wider record; NotStorableError where it cannot.
        """
        self.record = record
        self._schema_of = schema_of
        self._widen = widen
        self._known: set[bytes] = set()
        self._refused: dict[bytes, tuple[int, str]] = {}

    def absorb(self, written: Mapping[str, Any]) -> None:
        """Read from now on what this schema writes too; the table has its columns before this returns.

        Raises:
            NotStorableError: It cannot be; nothing has changed.
            UnavailableError: The catalog does not answer.
        """
        merged = merged_record(self.record, written)
        if merged is not self.record:
            self._widen(merged)
            self.record = merged

    def admit(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Rejected]]:
        """Learn the schemas of a batch that are new; set aside the records of those that cannot be stored.

        Raises:
            UnavailableError: Registry or catalog do not answer; ask again with the same batch.
        """
        frames = {value[:_FRAME_BYTES] for value in column_of(records, "value") if value}
        for frame in frames - self._known - self._refused.keys():
            self._learn(frame)
        if not frames & self._refused.keys():
            return records, []
        admitted, refused = [], []
        for record in records:
            found = self._refused.get(record.value[:_FRAME_BYTES]) if record.value else None
            if found is None:
                admitted.append(record)
            else:
                refused.append(Rejected(record, "schema_not_storable", found[1], schema_id=found[0]))
        return admitted, refused

    def _learn(self, frame: bytes) -> None:
        if len(frame) < _FRAME_BYTES or frame[0]:
            return  # no frame: the decoder says so
        schema_id = int.from_bytes(frame[1:])
        try:
            self.absorb(self._schema_of(schema_id))
        except UnknownSchemaError:
            return  # it may be known later; until then the decoder says so
        except NotStorableError as error:
            self._refused[frame] = (schema_id, f"schema {schema_id} does not fit the table: {error}")
            _log.warning("schema not storable", record=self.record.name, schema_id=schema_id, error=str(error))
        else:
            self._known.add(frame)
