"""A contract's rules on columns: which rows may break one. The reference check says of those which rule, and how."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from headgate_schemas import compile_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_schemas import Rule, TopicContract

Mask = Callable[[pa.RecordBatch], pa.BooleanArray]
Breaks = Callable[[pa.Array], pa.BooleanArray]

_EVERY_VALUE: Final[Breaks] = pc.is_valid
_LONG_MIN: Final = -(2**63)
_LONG_MAX: Final = 2**63 - 1

# Patterns that Arrow's RE2 and Python's re take for the same: ASCII literals and classes, groups, repetitions.
_PORTABLE: Final = re.compile(
    r"(?:[A-Za-z0-9_ :/@,;=!%&#~-]|\\[.+*?()|^$/-]|\[[A-Za-z0-9_.:/@ -]+\]|\((?!\?)|\(\?:|[).|*+?]|\{\d+(?:,\d+)?\})*"
)


class _NoColumnFormError(Exception):
    """The rule says something that no column function says in the same way."""


class ColumnRules:
    """The rules of one topic over columns of plain Avro values, as a decoder without logical types gives them."""

    def __init__(self, contract: TopicContract, schema: pa.Schema) -> None:
        """Compile the rules.

        Args:
            contract: The topic's contract.
            schema: The record's columns; instants and dates are whole numbers, in Avro's unit.
        """
        self._masks = [_mask(contract, rule, schema) for rule in contract.rules]

    def broken(self, rows: pa.RecordBatch) -> Iterator[pa.BooleanArray]:
        """Yield one mask a rule: true where the row breaks it, never null."""
        return (mask(rows) for mask in self._masks)


def column_of(rows: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    """Return the values at a path through structs; null where a part is."""
    return reduce(pc.struct_field, path[1:], rows.column(path[0]))


def _mask(contract: TopicContract, rule: Rule, schema: pa.Schema) -> Mask:
    try:
        path, kind = _locate(schema, rule.field)
        breaks = list(_constraints(rule, kind))
        applies = _condition(rule, schema) if rule.when else None
    except _NoColumnFormError:
        return _by_reference(contract, rule, schema)

    def mask(rows: pa.RecordBatch) -> pa.BooleanArray:
        column = column_of(rows, path)
        broken = reduce(pc.or_, (each(column) for each in breaks))
        return pc.and_(broken, applies(rows)) if applies else broken

    return mask


def _by_reference(contract: TopicContract, rule: Rule, schema: pa.Schema) -> Mask:
    """The reference check for this rule alone, on rows made of the columns it looks at."""
    check = compile_rules(contract, only=lambda each: each.name == rule.name)
    paths = [rule.field, *([rule.when.field] if rule.when else [])]
    names = sorted({path.partition(".")[0] for path in paths} & set(schema.names))

    def mask(rows: pa.RecordBatch) -> pa.BooleanArray:
        values: list[dict[str, Any]] = [{}] * rows.num_rows
        if names:
            values = rows.select(names).to_pylist(maps_as_pydicts="strict")
        return pa.array([check(value) is not None for value in values], pa.bool_())

    return mask


def _locate(schema: pa.Schema, path: str) -> tuple[tuple[str, ...], pa.DataType]:
    names = tuple(path.split("."))
    kind: Any = pa.struct(list(schema))
    for name in names:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            raise _NoColumnFormError
        kind = kind.field(name).type
    return names, kind


def _constraints(rule: Rule, kind: pa.DataType) -> Iterator[Breaks]:
    if rule.required:
        yield pc.is_null
    if rule.minimum is not None or rule.maximum is not None:
        yield _of_values(_outside(rule.minimum, rule.maximum, kind))
    if rule.min_length is not None or rule.max_length is not None:
        yield _of_values(_missized(rule.min_length or 0, rule.max_length, kind))
    if rule.one_of is not None:
        yield _of_values(_not_in(frozenset(rule.one_of), kind))
    if rule.one_of_set is not None:
        yield _of_values(_not_in(rule.one_of_set.values, kind))
    if rule.pattern is not None:
        yield _of_values(_unlike(rule.pattern, kind))


def _of_values(breaks: Breaks) -> Breaks:
    """Nulls break none of these."""

    def on_column(column: pa.Array) -> pa.BooleanArray:
        broken = breaks(column)
        return pc.and_(pc.fill_null(broken, False), pc.is_valid(column)) if column.null_count else broken  # noqa: FBT003

    return on_column


def _outside(minimum: float | None, maximum: float | None, kind: pa.DataType) -> Breaks:
    if pa.types.is_integer(kind):
        return _beyond(_whole(minimum, math.ceil, _LONG_MIN), _whole(maximum, math.floor, _LONG_MAX))
    if not pa.types.is_floating(kind):
        return _EVERY_VALUE
    # As in the reference: an infinite value breaks a one-sided rule too, and NaN every one.
    low = _exact(-sys.float_info.max if minimum is None else minimum)
    high = _exact(sys.float_info.max if maximum is None else maximum)

    def breaks(column: pa.Array) -> pa.BooleanArray:
        number = pc.cast(column, pa.float64())
        return pc.invert(pc.and_(pc.greater_equal(number, low), pc.less_equal(number, high)))

    return breaks


def _whole(bound: float | None, rounded: Callable[[float], int], otherwise: int) -> int:
    if bound is None:
        return otherwise
    if not math.isfinite(bound):
        raise _NoColumnFormError
    return rounded(bound)


def _exact(bound: float) -> pa.Scalar:
    """The bound as a double; one that no double is compares otherwise in Python."""
    try:
        double = float(bound)
    except OverflowError as error:
        raise _NoColumnFormError from error
    if double != bound:
        raise _NoColumnFormError
    return pa.scalar(double, pa.float64())


def _beyond(low: int, high: int) -> Breaks:
    """Whole numbers outside of a span."""
    if low > _LONG_MAX or high < _LONG_MIN:
        return _EVERY_VALUE
    lowest, highest = pa.scalar(max(low, _LONG_MIN), pa.int64()), pa.scalar(min(high, _LONG_MAX), pa.int64())
    return lambda column: pc.or_(pc.less(column, lowest), pc.greater(column, highest))


def _missized(minimum: int, maximum: int | None, kind: pa.DataType) -> Breaks:
    beyond = _beyond(minimum, _LONG_MAX if maximum is None else maximum)
    if pa.types.is_string(kind):
        return lambda column: beyond(pc.utf8_length(column))
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return lambda column: beyond(pc.binary_length(column))
    if pa.types.is_list(kind):
        return lambda column: beyond(pc.list_value_length(column))
    if pa.types.is_nested(kind):
        raise _NoColumnFormError
    return _EVERY_VALUE


def _not_in(allowed: frozenset[Any], kind: pa.DataType) -> Breaks:
    if pa.types.is_string(kind):
        values = pa.array([value for value in allowed if isinstance(value, str)], pa.string())
    elif pa.types.is_integer(kind):
        numbers = [value for value in allowed if isinstance(value, int) and _LONG_MIN <= value <= _LONG_MAX]
        values = pa.array(numbers, pa.int64())
    else:
        return _EVERY_VALUE
    return lambda column: pc.invert(pc.is_in(pc.cast(column, values.type), value_set=values))


def _unlike(pattern: str, kind: pa.DataType) -> Breaks:
    if not pa.types.is_string(kind):
        return _EVERY_VALUE
    if not _PORTABLE.fullmatch(pattern):
        raise _NoColumnFormError
    matches = partial(pc.match_substring_regex, pattern=rf"\A(?:{pattern})\z")
    try:
        matches(pa.array([""]))
    except pa.ArrowInvalid as error:
        raise _NoColumnFormError from error
    return lambda column: pc.invert(matches(column))


def _condition(rule: Rule, schema: pa.Schema) -> Mask | None:
    if rule.when is None:
        return None
    path, kind = _locate(schema, rule.when.field)
    wanted = _comparable(rule.when.equals, kind)

    def applies(rows: pa.RecordBatch) -> pa.BooleanArray:
        if wanted is None:
            return pa.repeat(pa.scalar(False), rows.num_rows)  # noqa: FBT003
        return pc.fill_null(pc.equal(column_of(rows, path), wanted), False)  # noqa: FBT003

    return applies


def _comparable(value: str | int, kind: pa.DataType) -> pa.Scalar | None:
    """The value in a column's type; None where no value of that column equals it, by Python's rules."""
    if isinstance(value, str):
        return pa.scalar(value) if pa.types.is_string(kind) else None
    if pa.types.is_boolean(kind) and value in (0, 1):
        return pa.scalar(bool(value))
    if pa.types.is_integer(kind) and _LONG_MIN <= value <= _LONG_MAX:
        return pa.scalar(int(value), pa.int64())
    if pa.types.is_floating(kind):
        return _exact(value)
    return None
