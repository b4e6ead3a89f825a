"""Records to rows: every record becomes exactly one row or one dead letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import UndecodableError
from headgate_runtime.records import column_of
from headgate_schemas import Violation

from headgate_writer.schema import INSTANT, instants, stored_schema

if TYPE_CHECKING:
    from headgate_runtime.records import Record

# The years a calendar date can be named in; engines and day partitions fail outside them, each in its own way.
_EARLIEST = pa.scalar(-62_135_596_800_000_000, pa.int64())
_LATEST = pa.scalar(253_402_300_799_999_999, pa.int64())

Check = Callable[[Mapping[str, Any]], Violation | None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot become a row.

    Attributes:
        record: The record as consumed.
        cause: Code for the dead letter.
        message: What was wrong, without payload values.
        field: Path of the field that broke a rule.
        rule: Name of the rule that was broken.
        schema_id: Schema id in the record's frame.
    """

    record: Record
    cause: str
    message: str
    field: str | None = None
    rule: str | None = None
    schema_id: int | None = None


class CalendarError(ValueError):
    """An instant that no calendar date names."""


class ValueDecoder(Protocol):
    """Turns one value into a dictionary; the runtime's Avro decoder is one."""

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode a value.

        Raises:
            UndecodableError: The bytes are not what the contract says.
            UnavailableError: The registry does not know the schema id and cannot be asked.
        """


class FastDecoder(Protocol):
    """Turns values into rows many at a time, as far as they are rows beyond doubt."""

    def decode(self, values: Sequence[bytes | None]) -> tuple[pa.Table, pa.BooleanArray]:
        """Decode values.

        Returns:
            Rows in the table's columns, in order, and of each value whether it is one of them.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """


class BatchDecoder:
    """Decodes batches of one topic's records into the table's Arrow schema.

    The reference decodes, checks and converts record by record. A fast decoder takes from it what is beyond doubt, and
    no more: what becomes of a record does not depend on whether there is one.
    """

    def __init__(
        self,
        decoder: ValueDecoder,
        check: Check,
        schema: pa.Schema,
        clock_ms: Callable[[], int],
        fast: FastDecoder | None = None,
    ) -> None:
        """Build the decoder.

        Args:
            decoder: Of single values, the reference.
            check: First contract rule a value breaks, None where it keeps all.
            schema: As :func:`headgate_writer.schema.decoded_schema` gives it.
            clock_ms: Milliseconds since the epoch; becomes ``_ingested_at``.
            fast: Of the same values under the same rules; None where all go through the reference.
        """
        self.schema = stored_schema(schema)
        self._decoder = decoder
        self._check = check
        self._kind = pa.struct(list(schema))
        self._columns = pa.schema(list(self.schema)[: len(schema)])
        self._instants = list(instants(self._columns))
        self._clock_ms = clock_ms
        self._fast = fast

    def decode_batch(self, records: Sequence[Record]) -> tuple[pa.Table, list[Rejected]]:
        """Decode records, in order.

        Returns:
            Rows in :attr:`schema`, and the records that are none; together as many as came in.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """
        if self._fast is None:
            return self._by_reference(records)
        columns, sure = self._fast.decode(column_of(records, "value"))
        if columns.num_rows == len(records):
            return self._placed(columns, records), []
        indices = pc.indices_nonzero(sure).to_pylist()
        doubtful = {index: records[index] for index in pc.indices_nonzero(pc.invert(sure)).to_pylist()}
        others, rejected = self._by_reference(list(doubtful.values()))
        rows = self._placed(columns, [records[index] for index in indices])
        if not others.num_rows:
            return rows, rejected
        lost = {id(each.record) for each in rejected}
        indices += [index for index, record in doubtful.items() if id(record) not in lost]
        return pa.concat_tables([rows, others]).take(pc.array_sort_indices(pa.array(indices))), rejected

    def _by_reference(self, records: Sequence[Record]) -> tuple[pa.Table, list[Rejected]]:
        good: list[Record] = []
        values: list[dict[str, Any]] = []
        rejected: list[Rejected] = []
        for record in records:
            try:
                value = self._decoder.decode(record.value)
            except UndecodableError as error:
                rejected.append(Rejected(record, error.cause, str(error), schema_id=error.schema_id))
                continue
            if violation := self._check(value):
                rejected.append(_broken(record, violation))
                continue
            good.append(record)
            values.append(value)
        return pa.concat_tables([self.schema.empty_table(), *self._tables(good, values, rejected)]), rejected

    def _tables(
        self, records: Sequence[Record], values: Sequence[dict[str, Any]], rejected: list[Rejected]
    ) -> list[pa.Table]:
        """Build the rows; halve where a value does not fit its column, down to the record that holds it."""
        if not records:
            return []
        try:
            return [self._table(records, values)]
        except (ValueError, TypeError, OverflowError) as error:
            if len(records) == 1:
                rejected.append(Rejected(records[0], "unrepresentable", _misfit(error)))
                return []
        half = len(records) // 2
        return [
            *self._tables(records[:half], values[:half], rejected),
            *self._tables(records[half:], values[half:], rejected),
        ]

    def _table(self, records: Sequence[Record], values: Sequence[dict[str, Any]]) -> pa.Table:
        columns = pa.Table.from_struct_array(pa.array(values, self._kind)).cast(self._columns)
        for path in self._instants:
            _require_calendar(columns, path)
        return self._placed(columns, records)

    def _placed(self, columns: pa.Table, records: Sequence[Record]) -> pa.Table:
        """Add to rows where they came from."""
        topic = pa.scalar(records[0].topic if records else "", pa.string())
        return pa.Table.from_arrays(
            [
                *columns.columns,
                pa.repeat(topic, len(records)),
                pa.array(column_of(records, "partition"), pa.int32()),
                pa.array(column_of(records, "offset"), pa.int64()),
                pa.repeat(pa.scalar(self._clock_ms() * 1000, INSTANT), len(records)),
            ],
            schema=self.schema,
        )


def _require_calendar(columns: pa.Table, path: tuple[str, ...]) -> None:
    column: Any = columns.column(path[0])
    for name in path[1:]:
        column = pc.struct_field(column, name)
    span = pc.min_max(pc.cast(column, pa.int64()))
    if pc.less(span["min"], _EARLIEST).as_py() or pc.greater(span["max"], _LATEST).as_py():
        raise CalendarError(f"{'.'.join(path)} is no instant of the years 1 to 9999")


def _misfit(error: Exception) -> str:
    # Arrow's own text quotes the value, which a dead letter's message must not.
    return (
        str(error) if isinstance(error, CalendarError) else f"a value does not fit its column ({type(error).__name__})"
    )


def _broken(record: Record, violation: Violation) -> Rejected:
    return Rejected(record, "contract_violation", violation.message, violation.field, violation.rule)
