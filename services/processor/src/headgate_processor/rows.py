"""Records to rows: of each event the fields that definitions, rules and the contract name, and what cannot be a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.avro import Decoder
from headgate_runtime.errors import UndecodableError
from headgate_runtime.native import NativeColumns
from headgate_runtime.records import column_of
from headgate_runtime.strict import StrictDecoder
from headgate_schemas import ContractError, RecordSchema, compile_value_rules, field_getter, project

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from headgate_runtime.native import MakeNative
    from headgate_runtime.records import Record
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import TopicContract

    from headgate_processor.aggregates import Row

CONTRACT_VIOLATION: Final = "contract_violation"
UNREPRESENTABLE: Final = "unrepresentable"
MOST: Final = 1e30
"""Numbers as large are not added up."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record cannot be counted.

    Attributes:
        cause: Code for the dead letter.
        message: What was wrong, without payload values.
        field: Path of the field that broke a rule.
        rule: Name of the rule.
        schema_id: Schema id in the record's frame.
    """

    cause: str
    message: str
    field: str | None = None
    rule: str | None = None
    schema_id: int | None = None


class Rows:
    """Decodes the records of one topic into rows.

    The reference decodes record by record. The native decoder, where there is one, takes from it what is beyond doubt.

    Attributes:
        at: Place in a row of the field at each path.
    """

    def __init__(
        self,
        contract: TopicContract,
        record: RecordSchema,
        registry: SchemaRegistry,
        *,
        paths: Iterable[str],
        numbers: Iterable[str],
        make_native: MakeNative | None,
    ) -> None:
        """Make the decoder.

        Args:
            contract: The topic; every row keeps its rules.
            record: What its values are.
            registry: Knows writers' schemas.
            paths: Fields that are wanted.
            numbers: Fields among them that are added up or compared as numbers.
            make_native: As :func:`headgate_runtime.native.installed_decoder` gives it.

        Raises:
            ContractError: The record has no such field.
        """
        ruled, self._check = compile_value_rules(contract)
        self._paths = list(dict.fromkeys([*ruled, *paths]))
        self._ruled = len(ruled)
        self.at: Mapping[str, int] = {path: place for place, path in enumerate(self._paths)}
        self._numbers = [(self.at[path], path) for path in sorted(set(numbers))]
        wanted = project(record, self._paths)
        decoder = Decoder(registry, wanted)
        self._reference = StrictDecoder(decoder)
        self._getters = [field_getter(path) for path in self._paths]
        self._native = None
        if make_native is not None:
            self._native = NativeColumns(decoder, wanted, columns_of(wanted), make_native)

    def decode(self, records: Sequence[Record]) -> list[Row | Refused]:
        """Decode records, each to a row or to why it is none, in order.

        Raises:
            UnavailableError: The registry is needed and away; nothing was decoded.
        """
        values = column_of(records, "value")
        if self._native is None:
            rows: list[Row | Refused] = [self._by_reference(value) for value in values]
        else:
            batches, refused = self._native.decode(values)
            rows = [row for batch in batches for row in self._rows(batch)]
            for index in sorted(refused):
                rows.insert(index, self._by_reference(values[index]))
        return [row if isinstance(row, Refused) else self._judged(row) for row in rows]

    def _rows(self, batch: pa.RecordBatch) -> Iterable[Row]:
        return zip(*(_values(batch, path) for path in self._paths), strict=True)

    def _by_reference(self, value: bytes | None) -> Row | Refused:
        try:
            event = self._reference.decode(value)
        except UndecodableError as error:
            return Refused(error.cause, str(error), schema_id=error.schema_id)
        return [get(event) for get in self._getters]

    def _judged(self, row: Row) -> Row | Refused:
        violation = self._check(row)
        if violation is not None:
            return Refused(CONTRACT_VIOLATION, violation.message, violation.field, violation.rule)
        for place, path in self._numbers:
            value = row[place]
            if value is not None and not -MOST < value < MOST:
                return Refused(UNREPRESENTABLE, f"{path} is no finite number below {MOST:g}", path)
        return row


def _values(batch: pa.RecordBatch, path: str) -> list[Any]:
    import pyarrow.compute as pc  # noqa: PLC0415 - only where the native decoder is

    first, *inside = path.split(".")
    column = batch.column(first)
    return list((pc.struct_field(column, inside) if inside else column).to_pylist())


def columns_of(record: RecordSchema) -> pa.Schema:
    """The columns of a record whose leaves are plain values.

    Raises:
        ContractError: A leaf is none.
    """
    import pyarrow as pa  # noqa: PLC0415 - only where the native decoder is

    kinds = {
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
    }

    def field(avro: Mapping[str, Any], *, nullable: bool) -> pa.Field:
        branches = avro["type"] if isinstance(avro["type"], list) else [avro["type"]]
        nullable = nullable or "null" in branches
        [kind] = [branch for branch in branches if branch != "null"]
        name = kind if isinstance(kind, str) else kind["type"]
        if name == "record":
            return pa.field(
                avro["name"], pa.struct([field(each, nullable=nullable) for each in kind["fields"]]), nullable
            )
        if name not in kinds:
            raise ContractError(f"{record.label}: {avro['name']} is no plain value")
        return pa.field(avro["name"], kinds[name], nullable)

    return pa.schema([field(each, nullable=False) for each in record.raw["fields"]])
