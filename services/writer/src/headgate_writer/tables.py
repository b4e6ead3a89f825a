"""Makes what a table is written by: its sink, and a feed for each topic that is stored in it."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_runtime.strict import StrictDecoder
from headgate_schemas import ContractError, Contracts, TopicContract, compile_rules
from opentelemetry.trace import get_tracer

from headgate_writer.columnar import ColumnDecoder
from headgate_writer.commit import Committer
from headgate_writer.decode import BatchDecoder
from headgate_writer.errors import NotStorableError
from headgate_writer.feed import Feed
from headgate_writer.maintenance.composition import retention_of
from headgate_writer.opening import open_for_topic
from headgate_writer.personal import Guard, ProtectedTable
from headgate_writer.policy import CommitPolicy
from headgate_writer.quality import Quality
from headgate_writer.reader import TableReader
from headgate_writer.schema import decoded_schema, stored_schema
from headgate_writer.sink import Sink, SinkParts
from headgate_writer.tracing import TracedSink

if TYPE_CHECKING:
    from collections.abc import Collection

    from headgate_runtime.native import MakeNative
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import RecordSchema, TableContract
    from pyiceberg.catalog import Catalog

    from headgate_writer.config import Settings
    from headgate_writer.errors import Acceptance
    from headgate_writer.lineage.assembly import WriterLineage
    from headgate_writer.maintenance.composition import Keep
    from headgate_writer.metrics import WriterMetrics
    from headgate_writer.outbox import Outbox
    from headgate_writer.table import Table

_log = structlog.get_logger()


@dataclass(slots=True)
class Tables:
    """The tables written here; each is created and widened when its first topic is opened, before its first row."""

    settings: Settings
    contracts: Contracts
    registry: SchemaRegistry
    catalog: Catalog
    outbox: Outbox
    metrics: WriterMetrics
    make_native: MakeNative | None
    lineage: WriterLineage | None
    keep: Keep
    accepted: Collection[Acceptance] = ()
    pii_key: bytes | None = field(default=None, repr=False)
    _written: dict[str, tuple[Sink, TableReader]] = field(default_factory=dict, init=False)

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
            return self._open(contract, contract.table)
        except ContractError as error:
            raise ConfigurationError(str(error)) from error

    def _open(self, contract: TopicContract, table: TableContract) -> Sink:
        sink, reader = self._written.get(table.name) or self._made(contract, table)
        self._catch_up(contract, reader)
        sink.feeds[contract.topic] = self._feed(contract, reader)
        self._written[table.name] = sink, reader
        return sink

    def _made(self, contract: TopicContract, table: TableContract) -> tuple[Sink, TableReader]:
        settings, record = self.settings, self.contracts.record(contract.record)
        guard = Guard(table.pii, self.pii_key, record)
        location, opened = self._opened(contract, table, guard, record)
        committer = Committer(
            opened,
            clock=time.monotonic,
            rng=random.SystemRandom(),
            accepted=self.accepted,
            files_hold_s=settings.maintain.orphan_age_s / 2,
        )

        def widen(wider: RecordSchema) -> None:
            guard.follow(wider)
            committer.widen(stored_schema(decoded_schema(wider)))

        reader = TableReader(record, schema_of=self.registry.schema, widen=widen)
        parts = SinkParts(
            table=table.name,
            outbox=self.outbox,
            committer=committer,
            reopen=lambda: self._opened(contract, table, guard, reader.record)[1],
            policy=CommitPolicy(settings.commit_rows, settings.commit_bytes, settings.commit_interval_s),
            event_time=_path(contract.fields.event_time),
            quality=Quality(table.name, table.expectations, self.metrics) if table.expectations else None,
            on_landed=self.lineage.of(table.name, location, self._records(table), guard) if self.lineage else None,
        )
        if settings.tracing.endpoint is None:
            return Sink(parts, self.metrics), reader
        tracer = get_tracer("headgate_writer")
        return TracedSink(parts, self.metrics, tracer=tracer, group=settings.group_id), reader

    def _records(self, table: TableContract) -> dict[str, RecordSchema]:
        stored = (topic for topic in self.contracts.topics.values() if topic.table and topic.table.name == table.name)
        return {topic.topic: self.contracts.record(topic.record) for topic in stored}

    def _opened(
        self, topic: TopicContract, table: TableContract, guard: Guard, record: RecordSchema
    ) -> tuple[str, Table]:
        """Open the table and take it into maintenance; returns where it is too."""
        opened = open_for_topic(self.catalog, topic, table, guard, record, retention=retention_of(self.settings))
        self.keep(opened, _path(topic.fields.event_time))
        return opened.location, ProtectedTable(opened, guard)

    def _catch_up(self, contract: TopicContract, reader: TableReader) -> None:
        """Read what the registry's newest version writes from the start, as a writer did that met it before."""
        latest = self.registry.latest(contract.subject)
        try:
            if latest is not None:
                reader.absorb(latest)
        except NotStorableError as error:
            _log.warning("newest schema not storable", subject=contract.subject, error=str(error))

    def _feed(self, contract: TopicContract, reader: TableReader) -> Feed:
        rules = compile_rules(contract)

        def decoder(record: RecordSchema) -> BatchDecoder:
            values = Decoder(self.registry, record)
            fast = ColumnDecoder(values, record, contract, self.make_native) if self.make_native else None
            return BatchDecoder(StrictDecoder(values), rules, decoded_schema(record), clock_ms, fast)

        if contract.dead_letters is None:
            letters = self._letters(contract, max_bytes=sys.maxsize)
            return Feed(contract.topic, reader, decoder, letters, in_place=True)
        dead = self.contracts.topic(contract.dead_letters)
        letters = self._letters(dead, max_bytes=dead.max_message_bytes - ENVELOPE_BYTES)
        return Feed(contract.topic, reader, decoder, letters)

    def _letters(self, dead: TopicContract, *, max_bytes: int) -> DeadLetters:
        encoder = Encoder(self.registry, dead.subject, self.contracts.record(dead.record))
        return DeadLetters(encoder, dead.topic, "writer", max_bytes=max_bytes)


def _path(field: str | None) -> tuple[str, ...] | None:
    return tuple(field.split(".")) if field else None


def clock_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
