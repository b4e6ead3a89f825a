"""The native decoder, where this installation has it: framed values to columns, without Python in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog
from fastavro.schema import expand_schema
from headgate_schemas import incompatibilities

from headgate_runtime.avro import framed_schema_id
from headgate_runtime.errors import UndecodableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import headgate_avro
    import pyarrow as pa
    from headgate_schemas import RecordSchema

    from headgate_runtime.strict import WriterSchemas

    # Makes the native decoder of a reader's schema, as JSON, and its columns.
    MakeNative: TypeAlias = Callable[[str, pa.Schema], headgate_avro.Decoder]

_log = structlog.get_logger()


def installed_decoder() -> tuple[str, MakeNative | None]:
    """Return the decoder's name and version, and what makes the native one; None where it is not installed."""
    try:
        import headgate_avro  # noqa: PLC0415 - optional
    except ImportError:
        return "fastavro", None
    return f"native {headgate_avro.__version__}", headgate_avro.Decoder


class NativeColumns:
    """Decodes values into columns by the native decoder, which learns writers' schemas as it meets them.

    It judges nothing: a value it does not take for a row is for a reference decoder to look at.
    """

    def __init__(
        self, schemas: WriterSchemas, record: RecordSchema, columns: pa.Schema, make_native: MakeNative
    ) -> None:
        """Make the decoder.

        Args:
            schemas: Schemas of writers by id.
            record: What values are read as.
            columns: The record's columns, of types without logical ones.
            make_native: As :func:`installed_decoder` gives it.
        """
        self._schemas = schemas
        self._record = record
        self._native = make_native(_in_full(record.raw), columns)
        self._met: set[int] = set()

    def decode(self, values: Sequence[bytes | None]) -> tuple[list[pa.RecordBatch], set[int]]:
        """Decode framed values.

        Returns:
            Rows in order, and the indexes of the values that are none of them.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """
        batches, refused = self._native.decode(values)
        if self._met_new(values, refused):
            batches, refused = self._native.decode(values)
        return batches, {index for index, _, _ in refused}

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
