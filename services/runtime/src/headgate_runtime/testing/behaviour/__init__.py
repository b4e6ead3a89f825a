"""What Kafka clients do, as tests that run against the memory broker and against a real one.

A test module makes a class of each, and a fixture ``kafka`` that gives a ``Backend``.
"""

from headgate_runtime.testing.behaviour.consuming import ConsumerBehaviour, GroupBehaviour
from headgate_runtime.testing.behaviour.producing import CompactedBehaviour, ProducerBehaviour, RangeBehaviour
from headgate_runtime.testing.behaviour.suite import Backend
from headgate_runtime.testing.behaviour.transactions import TransactionBehaviour

__all__ = [
    "Backend",
    "CompactedBehaviour",
    "ConsumerBehaviour",
    "GroupBehaviour",
    "ProducerBehaviour",
    "RangeBehaviour",
    "TransactionBehaviour",
]
