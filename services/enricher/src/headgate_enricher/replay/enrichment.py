"""The replay's output: the event with today's decision, and the way it came the first time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from headgate_runtime.records import Record

from headgate_enricher.way import PROCESSING_METADATA

if TYPE_CHECKING:
    from headgate_runtime.records import OutgoingRecord
    from headgate_schemas.agent import Decision

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.stages import Enriching
    from headgate_enricher.work import Work

REPLAYED_FROM: Final = "headgate-replayed-from"
"""Header with the place of the decided event: its partition, a slash, its offset."""


class ReplayedEnrichment:
    """Builds decided events of decided events; implements ``stages.Enriching``.

    What the record says of the event's way stays: where it first came from, when, and its trace.

    Args:
        enrichment: Builds the record of an event that came that way.
    """

    def __init__(self, enrichment: Enriching) -> None:
        self._enrichment = enrichment

    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        """Build the record; see ``Enrichment.build``."""
        record, way = work.record, work.event[PROCESSING_METADATA]
        first = Record(
            way["source_topic"],
            way["source_partition"],
            way["source_offset"],
            way["ingestion_time"],
            record.key,
            None,
            record.headers,
        )
        output = self._enrichment.build(dataclasses.replace(work, record=first), decision, spent, now_ms=now_ms)
        place = (REPLAYED_FROM, f"{record.partition}/{record.offset}".encode())
        return dataclasses.replace(output, headers=(*output.headers, place))

    def ask(self, output: OutgoingRecord, reason: str, *, now_ms: int) -> None:
        """Ask nobody: the decision was taken long ago."""
