"""Makes what a table is written by: its sink, and a feed for each topic that is stored in it."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_schemas import ContractError, Contracts, TopicContract, compile_rules
from opentelemetry.trace import get_tracer

from headgate_writer.commit import Committer
from headgate_writer.decode import BatchDecoder
from headgate_writer.feed import Feed
from headgate_writer.opening import open_table
from headgate_writer.policy import CommitPolicy
from headgate_writer.schema import decoded_schema, stored_schema
from headgate_writer.sink import Sink, SinkParts
from headgate_writer.tracing import TracedSink

if TYPE_CHECKING:
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import TableContract
    from pyiceberg.catalog import Catalog

    from headgate_writer.config import Settings
    from headgate_writer.metrics import WriterMetrics
    from headgate_writer.outbox import Outbox


@dataclass(slots=True)
class Tables:
    """The tables written here; each is created and widened when its first topic is opened, before its first row."""

    settings: Settings
    contracts: Contracts
    registry: SchemaRegistry
    catalog: Catalog
    outbox: Outbox
    metrics: WriterMetrics
    _sinks: dict[str, Sink] = field(default_factory=dict, init=False)

    def open(self, topic: str) -> Sink:
        """Open the table of a topic and return its sink; topics of one table share it.

        Raises:
            ConfigurationError: The contract names no table, or does not fit its table.
            UnavailableError: Registry or catalog do not answer.
        """
        try:
            contract = self.contracts.topic(topic)
            if contract.table is None:
                raise ConfigurationError(f"{topic}: the contract names no table; add one, or leave the topic out")
            feed = self._feed(contract)
        except ContractError as error:
            raise ConfigurationError(str(error)) from error
        sink = self._sinks.get(contract.table.name) or self._sink(contract, contract.table)
        sink.feeds[topic] = feed
        return self._sinks.setdefault(contract.table.name, sink)

    def _feed(self, contract: TopicContract) -> Feed:
        if contract.dead_letters is not None:
            dead = self.contracts.topic(contract.dead_letters)
            letters = self._letters(dead, max_bytes=dead.max_message_bytes - ENVELOPE_BYTES)
            return Feed(contract.topic, self._decoder(contract), letters)
        return Feed(
            contract.topic, self._decoder(contract), self._letters(contract, max_bytes=sys.maxsize), in_place=True
        )

    def _sink(self, contract: TopicContract, table: TableContract) -> Sink:
        settings, event_time = self.settings, contract.fields.event_time
        schema = stored_schema(decoded_schema(self.contracts.record(contract.record)))
        parts = SinkParts(
            table=table.name,
            outbox=self.outbox,
            committer=Committer(
                open_table(self.catalog, table, schema, keep_snapshots=settings.keep_snapshots),
                clock=time.monotonic,
                rng=random.SystemRandom(),
                accepted=settings.accepted_incarnations,
            ),
            policy=CommitPolicy(settings.commit_rows, settings.commit_bytes, settings.commit_interval_s),
            event_time=tuple(event_time.split(".")) if event_time else None,
        )
        if settings.tracing.endpoint is None:
            return Sink(parts, self.metrics)
        return TracedSink(parts, self.metrics, tracer=get_tracer("headgate_writer"), group=settings.group_id)

    def _decoder(self, contract: TopicContract) -> BatchDecoder:
        record = self.contracts.record(contract.record)
        return BatchDecoder(Decoder(self.registry, record), compile_rules(contract), decoded_schema(record), clock_ms)

    def _letters(self, dead: TopicContract, *, max_bytes: int) -> DeadLetters:
        encoder = Encoder(self.registry, dead.subject, self.contracts.record(dead.record))
        return DeadLetters(encoder, dead.topic, "writer", max_bytes=max_bytes)


def clock_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
