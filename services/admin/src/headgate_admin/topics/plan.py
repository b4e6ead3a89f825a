"""From what the contracts want and what the cluster has to a list of changes. Topics are never deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headgate_schemas import TopicContract

_VISIBLE_TIMEOUT_S = 15.0
_VISIBLE_POLL_S = 0.1
_DELETING = {"cleanup.policy", "retention.ms"}
_TIMESTAMPS = {"create": "CreateTime", "append": "LogAppendTime"}


class TopicState(Protocol):
    """A topic as the cluster has it; ``config`` holds its own settings."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""

    @property
    def replication_factor(self) -> int:
        """Replicas of the partition that has fewest."""

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
    """A difference that cannot be mended, or not without losing records."""

    action: ClassVar[str] = "refused"
    topic: str
    reason: str

    def describe(self) -> str:
        """Why, and what to do."""
        return self.reason


TopicChange = Create | AddPartitions | AlterConfig | Refusal
FindLosses = Callable[["TopicContract", TopicState], Iterable[str]]
"""Says in words what would be lost of a topic that is changed to its contract."""


def plan_topics(
    desired: Iterable[TopicContract],
    actual: Mapping[str, TopicState],
    *,
    min_insync: int | None = None,
    losses: FindLosses | None = None,
) -> list[TopicChange]:
    """What has to change for each topic to be as its contract says; empty where all are.

    Args:
        desired: The contracts.
        actual: The cluster's topics by name.
        min_insync: Replicas that must have a record before it is acknowledged; None leaves that as it is.
        losses: Finds what a change of settings would delete, which refuses it; None lets it be deleted.
    """
    return [
        change
        for contract in desired
        for change in _plan_topic(contract, actual.get(contract.topic), min_insync, losses)
    ]


def apply_topics(
    desired: Sequence[TopicContract],
    changes: Iterable[TopicChange],
    cluster: Cluster,
    replication_factor: int,
    min_insync: int | None = None,
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
    _wait_until(lambda: not plan_topics(desired, cluster.topics(), min_insync=min_insync))


def wanted_config(contract: TopicContract, min_insync: int | None = None) -> dict[str, str]:
    """Kafka's names and values of what a contract says of a topic's settings, and the cluster's operator."""
    in_sync = {} if min_insync is None else {"min.insync.replicas": str(min_insync)}
    return {
        "cleanup.policy": contract.cleanup_policy,
        "retention.ms": str(contract.retention_ms),
        "max.message.bytes": str(contract.max_message_bytes),
        "segment.bytes": str(contract.segment_bytes),
        "message.timestamp.type": _TIMESTAMPS[contract.timestamps],
        **in_sync,
    }


def document_of(change: TopicChange) -> dict[str, Any]:
    """A change in JSON form."""
    fields: dict[str, Any] = {name: getattr(change, name) for name in change.__slots__}
    return {"action": change.action, **fields}


def _plan_topic(
    contract: TopicContract, state: TopicState | None, min_insync: int | None, losses: FindLosses | None
) -> Iterator[TopicChange]:
    wanted = wanted_config(contract, min_insync)
    if state is None:
        yield Create(contract.topic, contract.partitions, wanted)
        return
    yield from _plan_partitions(contract, state)
    differing = {name: value for name, value in wanted.items() if not _same(state.config.get(name), value)}
    if not differing:
        return
    if min_insync is not None and min_insync > state.replication_factor:
        yield Refusal(
            contract.topic,
            f"has {state.replication_factor} replicas, and with min.insync.replicas {min_insync} nobody could write to it: "
            "give it more replicas (kafka-reassign-partitions), or ask for fewer in sync",
        )
    lost = losses(contract, state) if losses is not None and differing.keys() & _DELETING else ()
    if refused := [Refusal(contract.topic, reason) for reason in lost]:
        yield from refused
    else:
        yield AlterConfig(contract.topic, {name: state.config.get(name) for name in differing}, differing)


def _plan_partitions(contract: TopicContract, state: TopicState) -> Iterator[TopicChange]:
    if state.partitions > contract.partitions:
        yield Refusal(
            contract.topic,
            f"has {state.partitions} partitions and its contract says {contract.partitions}: Kafka cannot take partitions "
            f"away. Write partitions: {state.partitions} into {contract.topic}.yaml, or move to a new topic",
        )
    elif state.partitions < contract.partitions:
        yield AddPartitions(contract.topic, state.partitions, contract.partitions)


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
