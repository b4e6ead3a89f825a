"""The fast path from Avro to columns: records that are rows beyond doubt; all others are for the reference to judge."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.native import NativeColumns

from headgate_writer.column_rules import ColumnRules, column_of
from headgate_writer.schema import decoded_schema, instants, stored_schema, with_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headgate_runtime.native import MakeNative
    from headgate_runtime.strict import WriterSchemas
    from headgate_schemas import RecordSchema, TopicContract

# The years a calendar date can be named in, in seconds since the epoch; the second bound is no longer within.
_CALENDAR_S: Final = (-62_135_596_800, 253_402_300_800)
_PER_SECOND: Final[Mapping[str, int]] = {"ms": 1_000, "us": 1_000_000}


class ColumnDecoder:
    """Decodes a batch into the table's columns, without Python in between.

    It never says what is wrong with a record: whatever it cannot take for a good row it leaves to the reference, so
    that rows and dead letters are the same with and without it.
    """

    def __init__(
        self,
        schemas: WriterSchemas,
        record: RecordSchema,
        contract: TopicContract,
        make_native: MakeNative,
    ) -> None:
        """Build the decoder.

        Args:
            schemas: Schemas of writers by id.
            record: What the topic's values are read as.
            contract: Its rules hold for every row.
            make_native: As :func:`headgate_runtime.native.installed_decoder` gives it.
        """
        decoded = decoded_schema(record)
        stored = stored_schema(decoded)
        self.columns = pa.schema(list(stored)[: len(decoded)])
        self._decoded = decoded
        self._plain = plain_schema(decoded)
        self._native = NativeColumns(schemas, record, self._plain, make_native)
        self._rules = ColumnRules(contract, self._plain)
        self._calendar = [(path, *_calendar(decoded, path)) for path in instants(decoded)]

    def decode(self, values: Sequence[bytes | None]) -> tuple[pa.Table, pa.BooleanArray]:
        """Decode framed values.

        Returns:
            Rows in :attr:`columns`, in order, and of each value whether it is one of them.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """
        batches, refused = self._native.decode(values)
        decoded = pa.repeat(pa.scalar(True), len(values))  # noqa: FBT003
        if refused:
            decoded = pa.array([index not in refused for index in range(len(values))])
        good = pa.chunked_array([self._good(batch) for batch in batches], pa.bool_()).combine_chunks()
        rows = pa.Table.from_batches(batches, self._plain)
        if not pc.all(good, min_count=0).as_py():
            rows = rows.filter(good)
        try:
            columns = rows.cast(self._decoded).cast(self.columns)
        except pa.ArrowInvalid:  # an instant in a list or a map, which no mask looks at
            return self.columns.empty_table(), pa.repeat(pa.scalar(False), len(values))  # noqa: FBT003
        return columns, pc.replace_with_mask(decoded, decoded, good)

    def _good(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Tell of each row whether it keeps all rules and has a date for every instant."""
        wrong = chain(self._rules.broken(rows), self._off_calendar(rows))
        return pc.invert(reduce(pc.or_, wrong, pa.repeat(pa.scalar(False), rows.num_rows)))  # noqa: FBT003

    def _off_calendar(self, rows: pa.RecordBatch) -> Iterator[pa.BooleanArray]:
        for path, earliest, end in self._calendar:
            column = column_of(rows, path)
            off = pc.or_(pc.less(column, earliest), pc.greater_equal(column, end))
            yield pc.fill_null(off, False) if off.null_count else off  # noqa: FBT003


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the same columns of values without their logical types: instants and dates are whole numbers."""
    return pa.schema([field.with_type(with_leaves(field.type, _plain)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    """The column type of a leaf without its logical type."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    return pa.int32() if pa.types.is_date(kind) else kind


def _calendar(schema: pa.Schema, path: tuple[str, ...]) -> tuple[pa.Scalar, pa.Scalar]:
    """The first instant of the calendar and the first behind it, in the unit of the column at a path."""
    kind: Any = pa.struct(list(schema))
    for name in path:
        kind = kind.field(name).type
    earliest, end = (pa.scalar(bound * _PER_SECOND[kind.unit], pa.int64()) for bound in _CALENDAR_S)
    return earliest, end
