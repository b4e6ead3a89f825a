"""Avro in the Confluent wire format: a zero byte, the schema id in four bytes, the datum."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.validation import ValidationError, validate
from headgate_schemas import incompatibilities, strip_logical_types

from headgate_runtime.errors import ConfigurationError, RejectedError, UndecodableError, UnknownSchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import RecordSchema

    from headgate_runtime.registry import SchemaRegistry

_FRAME: Final = struct.Struct(">bI")
_MAGIC: Final = 0
FRAME_BYTES: Final = _FRAME.size


class Decoder:
    """Decodes the values of one record, of whatever version they were written with.

    Timestamps stay int milliseconds. A schema id is resolved once; from then on the registry is not needed for it.
    """

    def __init__(self, registry: SchemaRegistry, reader: RecordSchema) -> None:
        self._registry = registry
        self._reader = reader
        # By schema id: the writer's schema, and the reader's where the two differ; or why it cannot be read.
        self._schemas: dict[int, tuple[Any, Any]] = {}
        self._unreadable: dict[int, str] = {}

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode a framed value into a dict in the shape of the reader's schema.

        Raises:
            UndecodableError: The bytes are not what the topic's contract says; its cause says in which way.
            UnavailableError: The schema id was never seen and the registry does not answer: try again later.
            RejectedError: The registry refused to answer this service.
        """
        if value is None:
            raise UndecodableError("tombstone", f"a tombstone where the contract wants a {self._reader.name}")
        schema_id = framed_schema_id(value)
        writer, reader = self._schemas.get(schema_id) or self._resolve(schema_id)
        stream = BytesIO(value)
        stream.seek(FRAME_BYTES)
        try:
            decoded = schemaless_reader(stream, writer, reader)
        except Exception as error:  # whatever foreign bytes make the C code raise
            raise UndecodableError("undecodable", self._complaint(schema_id, error), schema_id) from error
        if left := len(value) - stream.tell():
            raise UndecodableError("trailing_bytes", f"{left} bytes follow the {self._reader.name}", schema_id)
        return cast("dict[str, Any]", decoded)

    def writer_schema(self, schema_id: int) -> dict[str, Any]:
        """Return what values with the id are written with, parsed and without logical types.

        Raises:
            UndecodableError: There is no such schema, or the reader cannot read it; then ``decode`` says the same.
            UnavailableError: As ``decode``.
            RejectedError: As ``decode``.
        """
        writer, _ = self._schemas.get(schema_id) or self._resolve(schema_id)
        return cast("dict[str, Any]", writer)

    def _resolve(self, schema_id: int) -> tuple[Any, Any]:
        if schema_id in self._unreadable:
            raise UndecodableError("undecodable", self._unreadable[schema_id], schema_id)
        try:
            schema = self._registry.schema(schema_id)
        except UnknownSchemaError as error:
            raise UndecodableError("unknown_schema_id", str(error), schema_id) from error
        try:
            writer = parse_schema(strip_logical_types(schema))
            wrong = [each for each in incompatibilities(self._reader.schema, schema) if each.silent]
        except Exception as error:  # a foreign schema fails in as many ways as a datum
            raise self._refused(schema_id, self._complaint(schema_id, error)) from error
        if wrong:
            raise self._refused(schema_id, f"schema {schema_id}: {wrong[0]}")
        reader = None if writer == self._reader.raw else self._reader.raw
        return self._schemas.setdefault(schema_id, (writer, reader))

    def _refused(self, schema_id: int, why: str) -> UndecodableError:
        return UndecodableError("undecodable", self._unreadable.setdefault(schema_id, why), schema_id)

    def _complaint(self, schema_id: int, error: Exception) -> str:
        # The client's text may quote the payload, so only the class of its error goes on.
        return f"schema {schema_id}: the datum is no {self._reader.name} ({type(error).__name__})"


def framed_schema_id(value: bytes) -> int:
    """Return the schema id in a value's frame.

    Raises:
        UndecodableError: The value has no frame.
    """
    if len(value) < FRAME_BYTES or value[0] != _MAGIC:
        raise UndecodableError(
            "bad_magic", "no Confluent frame: a value starts with a zero byte and a schema id in four bytes"
        )
    return cast("int", _FRAME.unpack_from(value)[1])


class Encoder:
    """Encodes the values of one record for one subject.

    Attributes:
        prefix: The five bytes before each datum.
    """

    def __init__(self, registry: SchemaRegistry, subject: str, record: RecordSchema) -> None:
        """Look the schema's id up.

        Raises:
            ConfigurationError: The subject does not have the schema.
            UnavailableError: The registry does not answer.
        """
        try:
            self.schema_id = registry.schema_id(subject, record.text)
        except UnknownSchemaError as error:
            raise ConfigurationError(
                f"{record.name}.v{record.version} is not registered under subject {subject!r}: "
                "run `headgate schemas register`"
            ) from error
        self.prefix = _FRAME.pack(_MAGIC, self.schema_id)
        self._record = record

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Encode a value with its frame.

        Raises:
            RejectedError: The value does not fit the schema; the text names the field, never its content.
        """
        stream = BytesIO()
        stream.write(self.prefix)
        try:
            schemaless_writer(stream, self._record.raw, value)
        except Exception as error:  # noqa: BLE001 - the codec raises many kinds, and all quote the payload: not chained
            raise RejectedError(f"not a {self._record.name}: {_misfit(value, self._record.raw, error)}") from None
        return stream.getvalue()


class FieldCodec:
    """Writes and reads one field of a record by itself, without a frame: the very bytes it has in the whole datum."""

    def __init__(self, record: RecordSchema, path: str) -> None:
        self._schema = parse_schema(record.field_type(path))

    def encode(self, value: Any) -> bytes:
        """Encode the field's value, as ``Decoder`` gives it."""
        stream = BytesIO()
        schemaless_writer(stream, self._schema, value)
        return stream.getvalue()

    def decode(self, value: bytes) -> Any:
        """Decode what ``encode`` wrote."""
        return schemaless_reader(BytesIO(value), self._schema, None)


def _misfit(value: Mapping[str, Any], schema: dict[str, Any], error: Exception) -> str:
    """Name the field at fault, without its content, which the codec's own text would quote."""
    try:
        validate(value, schema)
    except ValidationError as found:
        return "; ".join(f"field {fault.field} does not fit its schema" for fault in found.errors)
    return f"it cannot be encoded ({type(error).__name__})"
