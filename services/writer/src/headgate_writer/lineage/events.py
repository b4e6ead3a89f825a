"""A commit as an OpenLineage run: topics and offsets in, rows of a snapshot out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    base_subset_dataset,
    catalog_dataset,
    column_lineage_dataset,
    dataset_type_dataset,
    dataset_version_dataset,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
    storage_dataset,
    symlinks_dataset,
)

from headgate_writer.lineage.columns import lineage_of_columns, table_fields, topic_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from headgate_schemas import RecordSchema
    from openlineage.client.facet_v2 import DatasetFacet

    from headgate_writer.landed import Landed
    from headgate_writer.lineage.places import TablePlace

VERSION: Final = version("headgate-writer")
PRODUCER: Final = f"pkg:pypi/headgate-writer@{VERSION}"


@dataclass(slots=True)
class _Columns:
    """Facets that stay as they are until the table's columns change."""

    schema: pa.Schema
    fields: schema_dataset.SchemaDatasetFacet
    lineage: column_lineage_dataset.ColumnLineageDatasetFacet


class CommitLineage:
    """Makes the events of the commits to one table. Every call is made on one thread."""

    def __init__(
        self, namespace: str, job: str, kafka: str, table: TablePlace, records: Mapping[str, RecordSchema]
    ) -> None:
        """Set the maker up.

        Args:
            namespace: Of the job.
            job: Its name.
            kafka: Namespace of the topics: ``kafka://HOST:PORT``.
            table: Where the table is, and what it is called.
            records: Record of the values, by topic.
        """
        set_producer(PRODUCER)
        self._namespace = namespace
        self._job = job
        self._kafka = kafka
        self._table = table
        self._records = records
        self._columns: _Columns | None = None

    def events(self, landed: Landed) -> list[RunEvent]:
        """Begin and end of the run that a commit is; the same commit is the same run, however often it is told of."""
        run = Run(self._run_id(landed), {"processing_engine": _engine()})
        begun, ended = _instant(landed.began_ms), _instant(landed.landed_ms)
        return [
            RunEvent(eventType=RunState.START, eventTime=begun, run=run, job=self._described_job()),
            RunEvent(
                eventType=RunState.COMPLETE,
                eventTime=ended,
                run=run,
                job=self._described_job(),
                inputs=[self._input(topic, landed) for topic in sorted({place.topic for place in landed.starts})],
                outputs=[self._output(landed)],
            ),
        ]

    def _run_id(self, landed: Landed) -> str:
        # The offsets are in it because a lost answer may be settled by a head that another commit made.
        ranges = sorted((*place, start, landed.ends[place]) for place, start in landed.starts.items())
        name = f"{self._namespace}/{self._job}/{landed.table}/{landed.snapshot_id}/{ranges}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def _described_job(self) -> Job:
        kind = job_type_job.JobTypeJobFacet(processingType="STREAMING", integration="HEADGATE", jobType="JOB")
        return Job(self._namespace, self._job, {"jobType": kind})

    def _input(self, topic: str, landed: Landed) -> InputDataset:
        partitions = [
            base_subset_dataset.Partition(
                identifier=str(place.partition),
                dimensions={"partition": place.partition, "firstOffset": start, "endOffset": landed.ends[place]},
            )
            for place, start in sorted(landed.starts.items())
            if place.topic == topic
        ]
        read = base_subset_dataset.PartitionSubsetCondition(partitions)
        facets: dict[str, DatasetFacet] = {
            "schema": schema_dataset.SchemaDatasetFacet(topic_fields(self._records[topic])),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("TOPIC"),
        }
        subset = base_subset_dataset.InputSubsetInputDatasetFacet(inputCondition=read)
        return InputDataset(self._kafka, topic, inputFacets={"subset": subset}, facets=facets)

    def _output(self, landed: Landed) -> OutputDataset:
        columns, table = self._columns_of(landed), self._table
        facets: dict[str, DatasetFacet] = {
            "schema": columns.fields,
            "columnLineage": columns.lineage,
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(landed.snapshot_id)),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("TABLE"),
            "storage": storage_dataset.StorageDatasetFacet("iceberg", "parquet"),
            "symlinks": symlinks_dataset.SymlinksDatasetFacet(
                [symlinks_dataset.Identifier(table.logical.namespace, table.logical.name, "TABLE")]
            ),
            "catalog": catalog_dataset.CatalogDatasetFacet(
                framework="iceberg",
                type=table.catalog_type,
                name=table.catalog_name,
                metadataUri=table.logical.namespace,
                warehouseUri=table.warehouse,
            ),
        }
        written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=landed.rows, size=landed.size_bytes, fileCount=landed.files
        )
        return OutputDataset(
            table.physical.namespace, table.physical.name, outputFacets={"outputStatistics": written}, facets=facets
        )

    def _columns_of(self, landed: Landed) -> _Columns:
        known = self._columns
        if known is None or not known.schema.equals(landed.schema):
            sources = [(self._kafka, topic, record) for topic, record in self._records.items()]
            known = self._columns = _Columns(
                landed.schema,
                schema_dataset.SchemaDatasetFacet(table_fields(landed.schema, self._records.values())),
                lineage_of_columns(landed.schema, sources, landed.hashed),
            )
        return known


def _engine() -> processing_engine_run.ProcessingEngineRunFacet:
    return processing_engine_run.ProcessingEngineRunFacet(
        version=VERSION, name="headgate-writer", openlineageAdapterVersion=VERSION
    )


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
