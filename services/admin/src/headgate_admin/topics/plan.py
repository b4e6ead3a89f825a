"""From what the contracts want and what the cluster has to a list of changes. Topics are never deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from headgate_schemas import TopicContract

_VISIBLE_TIMEOUT_S = 15.0
_VISIBLE_POLL_S = 0.1
_TIMESTAMPS = {"create": "CreateTime", "append": "LogAppendTime"}


class TopicState(Protocol):
    """A topic as the cluster has it; ``config`` holds its own settings."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""

    @property
    def config(self) -> Mapping[str, str]:
        """Its own settings, defaults left out."""


class Cluster(Protocol):
    """What is asked of the cluster's administration."""

    def topics(self) -> Mapping[str, TopicState]:
        """Return every topic by name."""

    def create(self, topic: str, *, partitions: int, config: Mapping[str, str], replication_factor: int = -1) -> None:
        """Create a topic."""

    def add_partitions(self, topic: str, total: int) -> None:
        """Let a topic have ``total`` partitions."""

    def alter_config(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's own settings."""


@dataclass(frozen=True, slots=True)
class Create:
    """A topic is not there."""

    action: ClassVar[str] = "create"
    topic: str
    partitions: int
    config: Mapping[str, str]

    def describe(self) -> str:
        """The change in words."""
        return f"{self.partitions} partitions, {_settings(self.config)}"


@dataclass(frozen=True, slots=True)
class AddPartitions:
    """A topic has fewer partitions than its contract says."""

    action: ClassVar[str] = "add partitions"
    topic: str
    before: int
    after: int

    def describe(self) -> str:
        """The change in words."""
        return f"{self.before} -> {self.after}; a key's later records may go to another partition than its earlier ones"


@dataclass(frozen=True, slots=True)
class AlterConfig:
    """Settings of a topic differ; None before where the topic had no own value."""

    action: ClassVar[str] = "alter config"
    topic: str
    before: Mapping[str, str | None]
    after: Mapping[str, str]

    def describe(self) -> str:
        """The change in words."""
        return ", ".join(f"{name}: {self.before[name] or 'default'} -> {value}" for name, value in self.after.items())


@dataclass(frozen=True, slots=True)
class Refusal:
    """A difference that cannot be mended without losing records."""

    action: ClassVar[str] = "refused"
    topic: str
    reason: str

    def describe(self) -> str:
        """Why, and what to do."""
        return self.reason


TopicChange = Create | AddPartitions | AlterConfig | Refusal


def plan_topics(desired: Iterable[TopicContract], actual: Mapping[str, TopicState]) -> list[TopicChange]:
    """What has to change for each topic to be as its contract says; empty where all are."""
    return [change for contract in desired for change in _plan_topic(contract, actual.get(contract.topic))]


def apply_topics(
    desired: Sequence[TopicContract], changes: Iterable[TopicChange], cluster: Cluster, replication_factor: int
) -> None:
    """Make planned changes, and wait until every broker asked shows them.

    Raises:
        RejectedError: The brokers refuse a change; those before it are made, and the next run goes on from there.
        UnavailableError: The brokers do not answer or do not show the changes.
    """
    for change in changes:
        match change:
            case Create():
                cluster.create(
                    change.topic,
                    partitions=change.partitions,
                    config=change.config,
                    replication_factor=replication_factor,
                )
            case AddPartitions():
                cluster.add_partitions(change.topic, change.after)
            case AlterConfig():
                cluster.alter_config(change.topic, change.after)
            case Refusal():
                raise ValueError(f"{change.topic}: a refused change cannot be made")
    _wait_until(lambda: not plan_topics(desired, cluster.topics()))


def wanted_config(contract: TopicContract) -> dict[str, str]:
    """Kafka's names and values of what a contract says of a topic's settings."""
    return {
        "cleanup.policy": contract.cleanup_policy,
        "retention.ms": str(contract.retention_ms),
        "max.message.bytes": str(contract.max_message_bytes),
        "segment.bytes": str(contract.segment_bytes),
        "message.timestamp.type": _TIMESTAMPS[contract.timestamps],
    }


def document_of(change: TopicChange) -> dict[str, Any]:
    """A change in JSON form."""
    fields: dict[str, Any] = {name: getattr(change, name) for name in change.__slots__}
    return {"action": change.action, **fields}


def _plan_topic(contract: TopicContract, state: TopicState | None) -> Iterator[TopicChange]:
    if state is None:
        yield Create(contract.topic, contract.partitions, wanted_config(contract))
        return
    if state.partitions > contract.partitions:
        yield Refusal(
            contract.topic,
            f"has {state.partitions} partitions and its contract says {contract.partitions}: Kafka cannot take partitions "
            f"away. Write partitions: {state.partitions} into {contract.topic}.yaml, or move to a new topic",
        )
    elif state.partitions < contract.partitions:
        yield AddPartitions(contract.topic, state.partitions, contract.partitions)
    wanted = wanted_config(contract)
    differing = {name: value for name, value in wanted.items() if not _same(state.config.get(name), value)}
    if differing:
        yield AlterConfig(contract.topic, {name: state.config.get(name) for name in differing}, differing)


def _same(actual: str | None, wanted: str) -> bool:
    """Settings that are lists (``compact,delete``) have no order."""
    return actual is not None and sorted(actual.split(",")) == sorted(wanted.split(","))


def _settings(config: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in config.items())


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _VISIBLE_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the changes are made, and the brokers do not show them after {_VISIBLE_TIMEOUT_S:g} s; run it again"
            )
        time.sleep(_VISIBLE_POLL_S)
