"""What a decided event has besides the event: the decision, and its way, where it came from and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.tracing import parse_traceparent

if TYPE_CHECKING:
    from headgate_runtime.records import Record


AGENT_METADATA: Final = "agent_metadata"
PROCESSING_METADATA: Final = "processing_metadata"


def processing_metadata(record: Record, now_ms: int, pipeline_version: str) -> dict[str, Any]:
    """The ``processing_metadata`` of an output.

    Args:
        record: The record it is made of.
        now_ms: When the decision was made, milliseconds since the epoch.
        pipeline_version: Version of the enricher.
    """
    return {
        "ingestion_time": record.timestamp_ms,
        "processing_time": now_ms,
        "pipeline_version": pipeline_version,
        "source_topic": record.topic,
        "source_partition": record.partition,
        "source_offset": record.offset,
        "trace_id": parse_traceparent(record.headers),
    }
