"""A column and a transform of its values: what partitions and sort orders are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import Transform


@dataclass(frozen=True, slots=True)
class Source:
    """A column, reached through structs alone, and a transform.

    Attributes:
        path: Names from the outermost column on.
        transform: Of a whole array.
    """

    path: tuple[str, ...]
    transform: Callable[[pa.Array], pa.Array]

    @classmethod
    def of(cls, source_id: int, transform: Transform[Any, Any], schema: Schema) -> Source:
        """Return the source that a partition or sort field names by id."""
        name = schema.find_column_name(source_id)
        if name is None:
            raise ValueError(f"the schema has no field {source_id}")
        return cls(tuple(name.split(".")), transform.pyarrow_transform(schema.find_field(source_id).field_type))

    def values(self, rows: pa.Table) -> pa.Array:
        """Return the transformed values, one a row; a null stays one."""
        column: Any = rows.column(self.path[0])
        if len(self.path) > 1:
            column = pc.struct_field(column, list(self.path[1:]))
        return self.transform(column.combine_chunks())
