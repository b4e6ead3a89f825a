"""A consumer group seen from outside: how far it is, and where it is to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient

from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from headgate_runtime.config import KafkaSettings

_TIMEOUT_S: Final = 15.0


class KafkaGroup:
    """One consumer group, without being a member; errors are those of the adapters."""

    def __init__(self, settings: KafkaSettings, group_id: str) -> None:
        self._context = ClientContext(settings)
        self._client = self._context.make(AdminClient, {})
        self._group_id = group_id

    def committed(self) -> dict[TopicPartition, int]:
        """Return every offset the group has committed; none where there is no such group."""
        asked = [ConsumerGroupTopicPartitions(self._group_id)]
        futures = self._client.list_consumer_group_offsets(asked, request_timeout=_TIMEOUT_S)
        found = self._result("read the offsets", futures[self._group_id])
        return {
            TopicPartition(each.topic, each.partition): each.offset
            for each in found.topic_partitions
            if each.offset >= 0
        }

    def members(self) -> int:
        """Return how many members the group has; none where there is no such group."""
        futures = self._client.describe_consumer_groups([self._group_id], request_timeout=_TIMEOUT_S)
        action = f"describe group {self._group_id}"
        try:
            return len(futures[self._group_id].result(timeout=_TIMEOUT_S * 2).members)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise self._context.translate(error, action) from error

    def move(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets for a group that has no member; makes the group where there is none.

        Raises:
            UnavailableError: The group has members, or the brokers do not answer.
        """
        places = [ClientPartition(*partition, offset) for partition, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(self._group_id, places)]
        futures = self._client.alter_consumer_group_offsets(asked, request_timeout=_TIMEOUT_S)
        self._result("move the offsets", futures[self._group_id])

    def _result(self, action: str, future: Future[Any]) -> Any:
        action = f"{action} of group {self._group_id}"
        try:
            found = future.result(timeout=_TIMEOUT_S * 2)
        except KafkaException as error:
            self._client.poll(0)  # runs the callback that takes note of a refusal
            raise self._context.translate(error, action) from error
        # A group that refuses answers all the same, with an error for each partition.
        for each in found.topic_partitions:
            if each.error is not None:
                raise self._context.translate(each.error, action)
        return found
