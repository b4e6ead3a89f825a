"""An enricher, as far as models' answers are concerned, over a broker in memory."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from headgate_enricher.gateway.protocols import CallContext, RecordedAnswer
from headgate_enricher.progress import Mark, PartitionProgress
from headgate_enricher.results import ModelResults
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from headgate_schemas import Contracts
from headgate_schemas.agent import Usage
from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_enricher.results import ReadRange

CONTRACTS = Contracts.load()
CONTRACT = CONTRACTS.topic("model-results")
RECORD = CONTRACTS.record(CONTRACT.record)
SOURCE = TopicPartition("raw-events", 2)
FRESH = Mark(0, b"", 0)


def answer(text: str = "yes", cost: int = 7) -> RecordedAnswer:
    return RecordedAnswer("model-1", AIMessage(text).model_dump_json().encode(), Usage(1, 600, 80), cost)


def position(offset: int, source: TopicPartition = SOURCE, seconds: float = 30.0, version: str = "v1") -> CallContext:
    return CallContext(source, offset, "judge", version, "tenant", time.monotonic() + seconds)


class Owner:
    """An enricher, as far as answers are concerned, from its assignment on."""

    def __init__(
        self,
        broker: MemoryBroker,
        mark: Mark = FRESH,
        versions: Sequence[str] = ("v1",),
        producer: Callable[[MemoryBroker], MemoryProducer] = MemoryProducer,
        read: ReadRange | None = None,
    ) -> None:
        registry = MemoryRegistry()
        registry.register(CONTRACT.subject, RECORD.text)
        self.results = ModelResults(
            topic=CONTRACT.topic,
            agent_versions=versions,
            encoder=Encoder(registry, CONTRACT.subject, RECORD),
            decoder=Decoder(registry, RECORD),
            producer=producer(broker),
            read=read or broker.read_range,
            now_ms=lambda: 1_764_000_000_000,
        )
        self.progress = PartitionProgress(mark)
        self.results.restore({SOURCE: (self.progress, mark.answers_from)})

    def store(
        self, offset: int, number: int = 0, text: str = "yes", *, seconds: float = 30.0, version: str = "v1"
    ) -> None:
        asyncio.run(self.results.store(position(offset, seconds=seconds, version=version), number, answer(text)))

    def find(self, offset: int, number: int = 0, version: str = "v1") -> RecordedAnswer | None:
        return self.results.find(position(offset, version=version), number)

    def mark(self) -> Mark:
        return self.progress.mark()._replace(answers_from=self.results.answers_from(SOURCE))
