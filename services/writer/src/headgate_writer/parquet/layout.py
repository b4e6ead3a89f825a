"""Everything about a table that its data files depend on, worked out once and not a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyiceberg.io.pyarrow import compute_statistics_plan, parquet_path_to_id_mapping
from pyiceberg.table.locations import load_location_provider

from headgate_writer.parquet.columns import file_schema
from headgate_writer.parquet.encoding import Encoding, encoding_of
from headgate_writer.parquet.ordering import Ordering
from headgate_writer.parquet.partitioning import Partitioning

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io.pyarrow import StatisticsCollector
    from pyiceberg.table.locations import LocationProvider
    from pyiceberg.table.metadata import TableMetadata


@dataclass(frozen=True, slots=True)
class Layout:
    """How data files of a table are to be.

    Attributes:
        schema: Of the files, with field ids.
        spec_id: Of the partition spec they are written by.
        partitioning: Finds the partitions; None where the table has none.
        ordering: The table's sort order, None where it declares none.
        encoding: How values become bytes.
        locations: Names files.
        statistics: What is collected of each field, by field id.
        field_ids: Field id by Parquet path.
    """

    schema: pa.Schema
    spec_id: int
    partitioning: Partitioning | None
    ordering: Ordering | None
    encoding: Encoding
    locations: LocationProvider
    statistics: dict[int, StatisticsCollector]
    field_ids: dict[str, int]
    _drawn_from: tuple[Any, ...]

    @classmethod
    def of(cls, metadata: TableMetadata) -> Layout:
        """Work out the layout.

        Raises:
            ConfigurationError: A table property has a value that no file can be written with.
        """
        schema, spec, properties = metadata.schema(), metadata.spec(), metadata.properties
        return cls(
            schema=file_schema(schema),
            spec_id=spec.spec_id,
            partitioning=None if spec.is_unpartitioned() else Partitioning(spec, schema),
            ordering=Ordering.of(metadata.sort_order_by_id(metadata.default_sort_order_id), schema),
            encoding=encoding_of(properties),
            locations=load_location_provider(metadata.location, properties),
            statistics=compute_statistics_plan(schema, properties),
            field_ids=parquet_path_to_id_mapping(schema),
            _drawn_from=_source(metadata),
        )

    def fits(self, metadata: TableMetadata) -> bool:
        """Tell whether the table still is as it was when the layout was drawn."""
        return self._drawn_from == _source(metadata)


def _source(metadata: TableMetadata) -> tuple[Any, ...]:
    return (
        metadata.table_uuid,
        metadata.current_schema_id,
        metadata.default_spec_id,
        metadata.default_sort_order_id,
        metadata.location,
        metadata.properties,
    )
