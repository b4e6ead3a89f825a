"""The cluster's topics: what they are, and making them so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from concurrent.futures import Future

    from headgate_runtime.config import KafkaSettings

_T = TypeVar("_T")
_TIMEOUT_S: Final = 15.0
_LOOK_S: Final = 1.5
_RECHECK_S: Final = 0.05
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # as the client has it
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as the client has it


_SET_ON_TOPIC: Final = ConfigSource.DYNAMIC_TOPIC_CONFIG.value


class UnknownTopicError(RejectedError):
    """The brokers answer, and they do not have the topic."""


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the cluster has it.

    Attributes:
        topic_id: Changes when the topic is deleted and made again.
        partitions: How many.
        replication_factor: Replicas of the partition that has fewest.
        config: Settings of the topic itself, defaults left out.
    """

    topic_id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class KafkaAdmin:
    """Looks at topics and changes them; errors are those of the adapters."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._context = ClientContext(settings)
        self._client = self._context.make(AdminClient, {})

    def cluster_id(self) -> str:
        """Return the id of the cluster; another one means other brokers behind the same address."""
        described = self._result("describe the cluster", self._client.describe_cluster(request_timeout=_TIMEOUT_S))
        return str(described.cluster_id)

    def topics(self) -> dict[str, TopicInfo]:
        """Return every topic that is not internal, with its id, size and own settings."""
        names = sorted(name for name in self._listed() if not name.startswith("__"))
        found = {}
        for name, topic, config in self._described_with_config(names):
            replicas = min((len(partition.replicas) for partition in topic.partitions), default=0)
            found[name] = TopicInfo(str(topic.topic_id), len(topic.partitions), replicas, config)
        return found

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """Return the ids of those of the topics that exist."""
        found = {}
        for name, future in self._describing(topics).items():
            try:
                found[name] = str(self._result(f"describe topic {name}", future).topic_id)
            except UnknownTopicError:
                continue
        return found

    def create(self, topic: str, *, partitions: int, config: Mapping[str, str], replication_factor: int = -1) -> None:
        """Create a topic and return once the brokers know it; ``replication_factor`` -1 takes their default.

        Raises:
            RejectedError: It exists, or the brokers refuse its settings.
        """
        new = NewTopic(topic, partitions, replication_factor, config=dict(config))
        futures = self._client.create_topics([new], operation_timeout=_TIMEOUT_S, request_timeout=_TIMEOUT_S)
        self._result(f"create topic {topic}", futures[topic])
        self._wait_known(topic)

    def add_partitions(self, topic: str, total: int) -> None:
        """Let a topic have ``total`` partitions; keys written from then on may go elsewhere than before."""
        futures = self._client.create_partitions([NewPartitions(topic, total)], request_timeout=_TIMEOUT_S)
        self._result(f"add partitions to {topic}", futures[topic])

    def alter_config(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's own settings and leave the others."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        futures = self._client.incremental_alter_configs([resource], request_timeout=_TIMEOUT_S)
        self._result(f"alter topic {topic}", futures[resource])

    def delete(self, topic: str) -> None:
        """Delete a topic and all its records."""
        self._result(f"delete topic {topic}", self._client.delete_topics([topic], request_timeout=_TIMEOUT_S)[topic])

    def high_watermarks(
        self, partitions: Collection[TopicPartition], *, timeout_s: float = _TIMEOUT_S
    ) -> dict[TopicPartition, int]:
        """Return the end of each partition, open transactions included."""
        return self._offsets(partitions, _LATEST, timeout_s)

    def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each partition that is still in the log."""
        return self._offsets(partitions, _EARLIEST, _TIMEOUT_S)

    def offsets_at(self, partitions: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first record of a time or later; one without such a record is absent.

        Args:
            partitions: Partitions.
            timestamp_ms: The time, milliseconds since the epoch.
        """
        spec = OffsetSpec.for_timestamp(timestamp_ms)
        found = self._offsets(partitions, spec, _TIMEOUT_S)
        return {partition: offset for partition, offset in found.items() if offset >= 0}

    def _offsets(
        self, partitions: Collection[TopicPartition], spec: OffsetSpec, timeout_s: float
    ) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        futures = self._client.list_offsets(
            {ClientPartition(*partition): spec for partition in partitions},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=timeout_s,
        )
        return {
            TopicPartition(each.topic, each.partition): int(self._result("look offsets up", future).offset)
            for each, future in futures.items()
        }

    def _listed(self) -> Collection[str]:
        """Ask for the names of all topics; does not wait any longer for brokers that refuse this client."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                return self._client.list_topics(timeout=_LOOK_S).topics
            except KafkaException as error:
                self._client.poll(0)  # runs the callback that takes note of a refusal
                if self._context.refusal() is not None:
                    raise self._context.translate(error, "list topics") from error
                if time.monotonic() >= deadline:
                    # a listener that wants another security hangs up without a word
                    hint = "check KAFKA__BOOTSTRAP_SERVERS, and KAFKA__SECURITY against the listener there"
                    raise UnavailableError(f"{self._context.translate(error, 'list topics')}; {hint}") from error

    def _describing(self, names: Collection[str]) -> dict[str, Future[Any]]:
        if not names:
            return {}
        return self._client.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_S)

    def _wait_known(self, topic: str) -> None:
        """Wait until a broker lists the topic: the controller says yes before the brokers have heard of it."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            if self.topic_ids([topic]):
                return
            if time.monotonic() >= deadline:
                raise UnknownTopicError(f"topic {topic} was created, and the brokers do not know it")
            time.sleep(_RECHECK_S)

    def _described_with_config(self, names: list[str]) -> Iterator[tuple[str, Any, dict[str, str]]]:
        """Describe topics, leaving out those that were deleted since they were listed."""
        if not names:
            return
        topics = self._client.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S)
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
        configs = self._client.describe_configs(list(resources.values()), request_timeout=_TIMEOUT_S)
        for name in names:
            try:
                topic = self._result(f"describe topic {name}", topics[name])
                entries = self._result(f"describe topic {name}", configs[resources[name]]).values()
            except UnknownTopicError:
                continue
            own = {entry.name: entry.value for entry in entries if entry.source == _SET_ON_TOPIC}
            yield name, topic, own

    def _result(self, action: str, future: Future[_T]) -> _T:
        try:
            return future.result(timeout=_TIMEOUT_S * 2)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UnknownTopicError(f"cannot {action}: no such topic or partition") from error
            self._client.poll(0)
            raise self._context.translate(error, action) from error
