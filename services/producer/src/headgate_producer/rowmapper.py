"""A mapping compiled for one file: rows in, events out. Everything that can be wrong before the first row is found here."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from headgate_schemas import Violation, field_getter

from headgate_producer.mapping import FieldSource, MappingError, MappingSpec
from headgate_producer.shape import Branch, Leaf, Node, leaves, shape_of
from headgate_producer.timeline import parse_iso, time_parser

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema, TopicContract

    from headgate_producer.files import Row, RowFile

Make = Callable[[Any, int, int], Any]
"""A field's value from the row's cells, the row's number and the event's time in milliseconds."""

_ROW: Final = "row"
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}
_MICROS: Final = "timestamp-micros"
_CONVERTERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": _BOOLEANS.__getitem__,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
}


class CellError(ValueError):
    """A cell cannot become its field's value.

    Attributes:
        violation: Rule ``mapping``, with the field and what is wrong with which column.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(field, "mapping", message)


class RowMapper:
    """Makes events of a file's rows."""

    def __init__(self, spec: MappingSpec, file: RowFile, topic: TopicContract, record: RecordSchema) -> None:
        """Compile.

        Raises:
            MappingError: The mapping is for another record, names a field or column that is not there, or leaves out a
                field the record requires.
        """
        self._file = file
        self._time_path = topic.fields.event_time or ""
        self._shape = shape_of(record.schema)
        known = dict(leaves(self._shape))
        _check(spec, file, topic, record, known)
        makes = {path: self._compile_field(path, source, known[path]) for path, source in spec.fields.items()}
        scale = 1000 if known[self._time_path].logical == _MICROS else 1
        makes[self._time_path] = lambda _cells, _row, time_ms: time_ms * scale
        constants = {
            path: source.constant for path, source in spec.fields.items() if "constant" in source.model_fields_set
        }
        self._build = _compile_branch(self._shape, "", makes, constants)
        self._time_cell = self._getter(spec.time.column)
        self._time_column = spec.time.column
        self._parse_time = time_parser(spec.time.format)
        self._time_format = spec.time.format
        text = Leaf("string", None, nullable=True, optional=True, doc="")
        self._label = self._compile_field("label", spec.label, text) if spec.label is not None else None

    def time_ms(self, row: Row) -> int:
        """The row's recorded time, milliseconds since the epoch.

        Raises:
            CellError: The cell is no time of the mapping's format.
        """
        cell = self._time_cell(row.cells)
        try:
            return self._parse_time(cell)
        except (ValueError, TypeError, OverflowError) as error:
            text = f"column {self._time_column!r} is no time of format {self._time_format!r}: {_reason(error)}"
            raise CellError(self._time_path, f"{text}; correct the cell or the mapping's time.format") from error

    def event(self, row: Row, time_ms: int) -> dict[str, Any]:
        """The row as an event that occurred at ``time_ms``.

        Raises:
            CellError: A cell cannot become its field's value.
        """
        event: dict[str, Any] = self._build(row.cells, row.number, time_ms)
        return event

    def label(self, row: Row) -> str | None:
        """The row's label, None where the mapping has none or the cell is empty."""
        return None if self._label is None else self._label(row.cells, row.number, 0)

    def _getter(self, column: str) -> Callable[[Any], Any]:
        if self._file.columns is None:
            return field_getter(column)
        return itemgetter(self._file.columns.index(column))

    def _compile_field(self, path: str, source: FieldSource, leaf: Leaf) -> Make:
        if source.template is not None:
            return self._compile_template(path, source.template)
        if source.column is None:
            return lambda _cells, _row, _time_ms: source.constant
        get, column, wanted = self._getter(source.column), source.column, leaf.logical or leaf.kind
        convert = parse_iso if leaf.logical == "timestamp-millis" else _CONVERTERS[leaf.kind]
        nullable, to_text = leaf.nullable, leaf.kind == "string"

        def make(cells: Any, _row: int, _time_ms: int) -> Any:
            cell = get(cells)
            try:
                if isinstance(cell, str):
                    return None if nullable and not cell else convert(cell)
            except (ValueError, KeyError, OverflowError) as error:
                text = f"column {column!r} is no {wanted}; correct the cell or map {path} from another column"
                raise CellError(path, text) from error
            # Out of JSON: a number makes a fine id; the rest is for the schema's check to judge.
            return str(cell) if to_text and isinstance(cell, int) and not isinstance(cell, bool) else cell

        return make

    def _compile_template(self, path: str, template: str) -> Make:
        parts = [
            (literal, None if name is None or name == _ROW else self._getter(name), name, form or "")
            for literal, name, form, _ in string.Formatter().parse(template)
        ]

        def make(cells: Any, row: int, _time_ms: int) -> str:
            text = []
            for literal, get, name, form in parts:
                text.append(literal)
                if name is not None:
                    value = row if get is None else get(cells)
                    if value is None or value == "":
                        raise CellError(path, f"column {name!r} is empty, and the template of {path} needs it")
                    text.append(_formatted(path, name, value, form))
            return "".join(text)

        return make


def _check(
    spec: MappingSpec, file: RowFile, topic: TopicContract, record: RecordSchema, known: Mapping[str, Leaf]
) -> None:
    """Find everything that is wrong with a mapping, so that a person sees all of it at once."""
    time_path = topic.fields.event_time
    problems = []
    if spec.record != topic.record:
        problems.append(f"record: the mapping makes {spec.record}, but topic {topic.topic} holds {topic.record}")
    if time_path not in known:
        problems.append(f"time: the contract of topic {topic.topic} names no event time; add fields.event_time to it")
    for path, source in spec.fields.items():
        if path == time_path:
            problems.append(f"fields.{path}: is the event's time; say where it comes from under `time`")
        elif path not in known:
            problems.append(f"fields.{path}: {record.label} has no such field; it has {', '.join(known)}")
        problems += _unknown_columns(f"fields.{path}", source, file.columns)
    problems += _unknown_columns("time", FieldSource(column=spec.time.column), file.columns)
    problems += _unknown_columns("label", spec.label, file.columns) if spec.label else []
    for path, leaf in known.items():
        if not leaf.optional and path != time_path and path not in spec.fields:
            problems.append(f"fields: {path} is missing; {record.label} requires it")
    if problems:
        raise MappingError("\n".join(f"{file.path}: {problem}" for problem in problems))


def _unknown_columns(where: str, source: FieldSource, columns: Sequence[str] | None) -> list[str]:
    try:
        names = set(source.placeholders()) - ({_ROW} if source.template is not None else set())
    except ValueError as error:
        return [f"{where}: the template is malformed: {error}; write a literal brace twice"]
    if columns is None:
        return [f"{where}: {name!r} is no dotted path" for name in names if not all(name.split("."))]
    return [f"{where}: the file has no column {name!r}; it has {', '.join(columns)}" for name in names - set(columns)]


def _compile_branch(
    branch: Branch, prefix: str, makes: Mapping[str, Make], constants: Mapping[str, Any]
) -> Callable[[Any, int, int], dict[str, Any]]:
    """Build one record of the event; fields the mapping does not name are left to their defaults."""
    fixed = {name: constants[prefix + name] for name in branch.fields if prefix + name in constants}
    dynamic: list[tuple[str, Make]] = []
    for name, node in branch.fields.items():
        path = prefix + name
        if path in makes and path not in constants:
            dynamic.append((name, makes[path]))
        elif isinstance(node, Branch) and _is_mapped(node, f"{path}.", makes):
            dynamic.append((name, _compile_branch(node, f"{path}.", makes, constants)))

    def build(cells: Any, row: int, time_ms: int) -> dict[str, Any]:
        event = fixed.copy()
        for name, make in dynamic:
            event[name] = make(cells, row, time_ms)
        return event

    return build


def _is_mapped(node: Node, prefix: str, makes: Mapping[str, Make]) -> bool:
    return any(path.startswith(prefix) for path in makes) or not (node.optional or node.nullable)


def _formatted(path: str, column: str, value: Any, form: str) -> str:
    try:
        return format(value, form)
    except (ValueError, TypeError) as error:
        text = f"column {column!r} does not take the format {form!r} that the template of {path} gives it"
        raise CellError(path, text) from error


def _reason(error: Exception) -> str:
    """What the parser says, without the value, which may be personal."""
    return "the parts do not match" if "does not match" in str(error) else type(error).__name__
