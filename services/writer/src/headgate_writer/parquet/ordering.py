"""The table's sort order, as indices that bring rows into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table.sorting import NullOrder, SortDirection

from headgate_writer.parquet.sources import Source

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import SortOrder


@dataclass(frozen=True, slots=True)
class Ordering:
    """A sort order over the columns of a schema.

    Attributes:
        order_id: Its id in the table's metadata, which a sorted file bears.
    """

    order_id: int
    _sources: tuple[Source, ...]
    _keys: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, order: SortOrder | None, schema: Schema) -> Ordering | None:
        """Return the ordering, None where rows may stand in any order."""
        if order is None or order.is_unsorted:
            return None
        return cls(
            order.order_id,
            tuple(Source.of(field.source_id, field.transform, schema) for field in order.fields),
            tuple(
                (
                    str(number),
                    "descending" if field.direction is SortDirection.DESC else "ascending",
                    "at_start" if field.null_order is NullOrder.NULLS_FIRST else "at_end",
                )
                for number, field in enumerate(order.fields)
            ),
        )

    def indices(self, rows: pa.Table) -> pa.Array:
        """Return the rows' places in order; rows that are equal keep theirs."""
        columns = {name: source.values(rows) for (name, _, _), source in zip(self._keys, self._sources, strict=True)}
        return pc.sort_indices(pa.table(columns), self._keys)

    def holds(self, rows: pa.Table) -> bool:
        """Tell whether rows are in order already; known only of orders by one column without nulls."""
        if len(self._keys) > 1:
            return False
        values, direction = self._sources[0].values(rows), self._keys[0][1]
        in_order = pc.less_equal if direction == "ascending" else pc.greater_equal
        # A NaN is in order with nothing.
        return not values.null_count and pc.all(in_order(values[:-1], values[1:])).as_py()
