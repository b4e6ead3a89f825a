"""Kafka and the registry in memory, with the real ones' semantics, for tests that need neither."""

from headgate_runtime.testing.broker import MemoryBroker
from headgate_runtime.testing.consumer import MemoryConsumer
from headgate_runtime.testing.producer import MemoryProducer, MemoryTransactionalProducer
from headgate_runtime.testing.registry import MemoryRegistry
from headgate_runtime.testing.waiting import eventually

__all__ = [
    "MemoryBroker",
    "MemoryConsumer",
    "MemoryProducer",
    "MemoryRegistry",
    "MemoryTransactionalProducer",
    "eventually",
]
