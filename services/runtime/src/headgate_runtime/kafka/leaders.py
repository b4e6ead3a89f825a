"""Which partitions have no leader: a broker that merely answers cannot take or give their records yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from headgate_runtime.config import KafkaSettings


def leaderless_partitions(settings: KafkaSettings, timeout_s: float = 2.0) -> list[TopicPartition]:
    """Ask the cluster for all topics and list the partitions without a leader; empty when all can be used.

    Raises:
        UnavailableError: No broker answered within ``timeout_s``.
    """
    context = ClientContext(settings)
    client = context.make(AdminClient, {"log_level": 0})
    try:
        metadata = client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        client.poll(0)
        why = context.refusal() or str(error)
        raise UnavailableError(f"no broker of {settings.bootstrap_servers} answers: {why}") from error
    if not metadata.brokers:
        raise UnavailableError(f"{settings.bootstrap_servers} lists no broker yet")
    return [
        TopicPartition(name, number)
        for name, topic in metadata.topics.items()
        for number, partition in topic.partitions.items()
        if partition.leader < 0
    ]
