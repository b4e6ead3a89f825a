"""The fast path from Avro to columns: records that are rows beyond doubt; all others are for the reference to judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from fastavro.schema import expand_schema
from headgate_runtime.avro import framed_schema_id
from headgate_runtime.errors import UndecodableError
from headgate_schemas import incompatibilities

from headgate_writer.column_rules import ColumnRules, column_of
from headgate_writer.schema import decoded_schema, instants, stored_schema, with_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import headgate_avro
    from headgate_schemas import RecordSchema, TopicContract

    from headgate_writer.strict import WriterSchemas

_log = structlog.get_logger()

# Makes the native decoder of a reader's schema, as JSON, and its columns.
MakeNative = Callable[[str, pa.Schema], "headgate_avro.Decoder"]

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
            make_native: As :func:`headgate_writer.native.installed_decoder` gives it.
        """
        decoded = decoded_schema(record)
        stored = stored_schema(decoded)
        self.columns = pa.schema(list(stored)[: len(decoded)])
        self._record = record
        self._schemas = schemas
        self._decoded = decoded
        self._plain = plain_schema(decoded)
        self._native = make_native(_in_full(record.raw), self._plain)
        self._rules = ColumnRules(contract, self._plain)
        self._calendar = [(path, *_calendar(decoded, path)) for path in instants(decoded)]
        self._met: set[int] = set()

    def decode(self, values: Sequence[bytes | None]) -> tuple[pa.Table, pa.BooleanArray]:
        """Decode framed values.

        Returns:
            Rows in :attr:`columns`, in order, and of each value whether it is one of them.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """
        batches, refused = self._native.decode(values)
        if self._met_new(values, refused):
            batches, refused = self._native.decode(values)
        decoded = pa.repeat(pa.scalar(True), len(values))  # noqa: FBT003
        if refused:
            wrong = {index for index, _, _ in refused}
            decoded = pa.array([index not in wrong for index in range(len(values))])
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

    def _met_new(self, values: Sequence[bytes | None], refused: Sequence[tuple[int, str, str]]) -> bool:
        """Add schemas met for the first time; tell whether there are any to decode with."""
        unknown = [values[index] for index, cause, _ in refused if cause == "unknown_schema_id"]
        schema_ids = {framed_schema_id(value) for value in unknown if value is not None} - self._met
        added = [self._add(schema_id) for schema_id in sorted(schema_ids)]
        return any(added)

    def _add(self, schema_id: int) -> bool:
        try:
            schema = self._schemas.writer_schema(schema_id)
        except UndecodableError:
            return False  # the reference asks again, and says so of each record
        self._met.add(schema_id)
        try:
            if problems := incompatibilities(self._record.raw, schema):
                raise ValueError(str(problems[0]))  # noqa: TRY301 - one way out for all that does not fit
            self._native.add_writer_schema(schema_id, _in_full(schema))
        except Exception as error:  # noqa: BLE001 - a foreign schema fails in as many ways as a datum
            _log.warning("schema not decoded natively", record=self._record.label, schema_id=schema_id, why=str(error))
            return False
        return True


def _in_full(schema: Mapping[str, Any]) -> str:
    """A parsed schema as JSON, every named type in full wherever it stands."""
    return json.dumps(expand_schema({key: value for key, value in schema.items() if not key.startswith("__")}))


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
