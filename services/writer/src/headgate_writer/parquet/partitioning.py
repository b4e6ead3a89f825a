"""Rows by partition: values by the table's transforms, one grouping, one slice a partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey, partition_record_value
from pyiceberg.typedef import Record

from headgate_writer.parquet.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema


class Key(PartitionKey):
    """A partition; several of its values may come from one column, which pyiceberg's own refuses."""

    @property
    def partition(self) -> Record:
        """The partition's values as a data file bears them."""
        return Record(*(partition_record_value(each.field, each.value, self.schema) for each in self.field_values))


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows by partition.

    Attributes:
        keys: The partitions.
        codes: Of each row, the place of its partition in ``keys``.
        counts: Rows of each partition.
    """

    keys: Sequence[Key]
    codes: pa.Array
    counts: Sequence[int]

    def indices(self, order: pa.Array | None = None) -> pa.Array:
        """Return the rows' places so that each partition's are together.

        Args:
            order: Places to keep within a partition; None keeps the rows' own.
        """
        if order is None:
            return pc.sort_indices(self.codes)
        return order.take(pc.sort_indices(self.codes.take(order)))

    def slices(self, rows: pa.Table) -> Iterator[tuple[Key, pa.Table]]:
        """Yield each partition's rows of a table that was arranged by :meth:`indices`."""
        start = 0
        for key, count in zip(self.keys, self.counts, strict=True):
            yield key, rows.slice(start, count)
            start += count


class Partitioning:
    """Finds the partitions of rows.

    Args:
        spec: The table's partition spec, of one field or more.
        schema: The table's schema.
    """

    def __init__(self, spec: PartitionSpec, schema: Schema) -> None:
        self._spec = spec
        self._schema = schema
        self._sources = [Source.of(field.source_id, field.transform, schema) for field in spec.fields]

    def groups(self, rows: pa.Table) -> Groups:
        """Group rows by their partition; partitions are in the order of their first rows."""
        values = [source.values(rows) for source in self._sources]
        codes = _codes(values)
        counts = pc.value_counts(codes)
        firsts = pc.index_in(counts.field("values"), codes)
        picked = [_plain(column.take(firsts)).to_pylist() for column in values]
        keys = [self._key(of_one) for of_one in zip(*picked, strict=True)]
        return Groups(keys, codes, counts.field("counts").to_pylist())

    def _key(self, values: Sequence[Any]) -> Key:
        pairs = zip(self._spec.fields, values, strict=True)
        return Key([PartitionFieldValue(field, value) for field, value in pairs], self._spec, self._schema)


def _codes(values: Sequence[pa.Array]) -> pa.Array:
    """Number combinations of values from 0 in the order in which they first occur; a null is a value."""
    codes = pa.repeat(pa.scalar(0, pa.int64()), len(values[0]))
    for column in values:
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        combined = pc.add(pc.multiply(codes, len(encoded.dictionary)), encoded.indices)
        codes = pc.dictionary_encode(combined).indices.cast(pa.int64())
    return codes


def _plain(values: pa.Array) -> pa.Array:
    """Return instants as numbers: a data file bears them so, and a time zone's table need not be there."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    return values.cast(pa.int32()) if pa.types.is_date32(values.type) else values
