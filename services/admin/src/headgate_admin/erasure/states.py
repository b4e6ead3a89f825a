"""A person's keys in compacted topics, where only a tombstone takes a value away.

A state that a running service holds in memory is dropped by its owner, which is asked; a tombstone beside it would be
overwritten with the key's next event. What nobody holds gets its tombstone from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import httpx
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.groups import KafkaGroup
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record
    from headgate_schemas import TopicContract

    from headgate_admin.erasure.subject import Subject

READ_TIMEOUT_S: Final = 600.0
_FLUSH_S: Final = 30.0
_FORGET_TIMEOUT_S: Final = 30.0
_CONFLICT: Final = httpx.codes.CONFLICT


class Forgotten(NamedTuple):
    """Where one replica has forgotten the person.

    Attributes:
        topic: The topic it consumes.
        partitions: Its partitions.
        namespaces: Starts of its keys in the state's topic.
    """

    topic: str
    partitions: frozenset[int]
    namespaces: frozenset[str]


class StateLog(Protocol):
    """Compacted topics, and the groups that own states in them."""

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic."""

    def live(self, topic: str, partitions: int, wanted: KeyMatch) -> set[tuple[int, bytes]]:
        """Partition and key of what matches and has a value."""

    def members(self, group: str) -> int:
        """How many members a group has."""

    def bury(self, topic: str, keys: Collection[tuple[int, bytes]]) -> None:
        """Write tombstones, acknowledged."""


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """Whether a key is the person's, as the topic's contract says."""

    key: bytes
    after: int

    def __call__(self, key: bytes) -> bool:
        """Tell for one key."""
        parts = key.split(b"/", self.after) if self.after else [key]
        return len(parts) == self.after + 1 and parts[-1] == self.key

    def namespace(self, key: bytes) -> str:
        """What stands before the person's own key."""
        return key[: len(key) - len(self.key)].decode(errors="replace").rstrip("/")


@dataclass(frozen=True, slots=True)
class ErasedState:
    """What became of a person's keys in a topic.

    Attributes:
        topic: The topic.
        found: Keys that had a value.
        forgotten: Keys that their owner has dropped.
        buried: Keys that got a tombstone from here.
        left: Keys that still have a value.
        problems: Why, and what to do.
    """

    topic: str
    found: int
    forgotten: int = 0
    buried: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {name: getattr(self, name) for name in ("topic", "found", "forgotten", "buried", "left")}


def look(log: StateLog, contract: TopicContract, subject: Subject) -> set[tuple[int, bytes]]:
    """Partition and key of what a compacted topic holds of a person."""
    return log.live(contract.topic, log.partitions(contract.topic), _match(contract, subject))


def bury(
    log: StateLog, contract: TopicContract, subject: Subject, found: int, answers: Sequence[Forgotten]
) -> ErasedState:
    """Take away what is left of a person in a compacted topic, after its owners have been asked.

    Args:
        log: The topics.
        contract: The topic's contract.
        subject: The person.
        found: Keys that had a value before anybody was asked.
        answers: What the owners have forgotten.
    """
    topic, match = contract.topic, _match(contract, subject)
    before = look(log, contract, subject)
    problems: list[str] = []
    ours: set[tuple[int, bytes]] = set()
    running: set[str] = set()
    for place in before:
        group = match.namespace(place[1]).partition("/")[0]
        if match.after and log.members(group):
            running.add(group)
        else:
            ours.add(place)
    handled = {namespace for answer in answers for namespace in answer.namespaces}
    for group in sorted(running):
        told = any(name.partition("/")[0] == group for name in handled)
        problems.append(
            f"{topic}: a new event of the person has come to group {group} since it forgot; stop their source and run this again"
            if told
            else f"{topic}: group {group} runs and holds the key in memory; name each replica of an enricher with --enricher, or stop it and run this again"
        )
    log.bury(topic, ours)
    left = len(look(log, contract, subject)) if ours else len(before)
    return ErasedState(topic, found, max(0, found - len(before)), len(ours), left, problems)


def _match(contract: TopicContract, subject: Subject) -> KeyMatch:
    return KeyMatch(subject.key, contract.person_after or 0)


def uncovered(log: StateLog, answers: Sequence[Forgotten]) -> list[str]:
    """Partitions of consumed topics that no replica has forgotten the person in, a text each namespace."""
    reached: dict[tuple[str, str], set[int]] = {}
    for answer in answers:
        for namespace in answer.namespaces:
            reached.setdefault((answer.topic, namespace), set()).update(answer.partitions)
    texts = []
    for (topic, namespace), partitions in sorted(reached.items()):
        if missing := sorted(set(range(log.partitions(topic))) - partitions):
            texts.append(
                f"{namespace}: no replica was asked that owns {topic}/{missing}; name every replica with --enricher"
            )
    return texts


def ask(urls: Iterable[str], token: str, subject: Subject) -> list[Forgotten]:
    """Ask each replica of the enricher to forget the person; one that owns nothing now is passed over.

    Raises:
        UnavailableError: One does not answer, or could not commit in time.
        RejectedError: One refuses.
    """
    answers = []
    for url in urls:
        try:
            answer = httpx.post(
                f"{url.rstrip('/')}/control/forget",
                json={"key": subject.user},
                headers={"Authorization": f"Bearer {token}"},
                timeout=_FORGET_TIMEOUT_S,
            )
        except httpx.HTTPError as error:
            raise UnavailableError(f"the enricher at {url} does not answer: {error!r}") from error
        if answer.status_code == _CONFLICT:
            continue
        if answer.is_server_error:
            raise UnavailableError(f"the enricher at {url} cannot forget now: {answer.text}")
        if answer.is_error:
            raise RejectedError(f"the enricher at {url} refuses: {answer.status_code} {answer.text}")
        said: Mapping[str, Any] = answer.json()
        answers.append(Forgotten(said["topic"], frozenset(said["partitions"]), frozenset(said["namespaces"])))
    return answers


class KafkaStateLog:
    """The brokers' topics; errors are those of the adapters."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._sizes = {name: info.partitions for name, info in KafkaAdmin(settings).topics().items()}

    def partitions(self, topic: str) -> int:
        """See the protocol."""
        return self._sizes.get(topic, 0)

    def live(self, topic: str, partitions: int, wanted: KeyMatch) -> set[tuple[int, bytes]]:
        """See the protocol; reads the whole topic and keeps what matches."""
        found: dict[tuple[int, bytes], bool] = {}

        def take(record: Record) -> None:
            if record.key is not None and wanted(record.key):
                found[record.partition, record.key] = record.value is not None

        starts = {TopicPartition(topic, number): 0 for number in range(partitions)}
        if starts:
            read_range(self._settings, starts, take, READ_TIMEOUT_S)
        return {place for place, is_live in found.items() if is_live}

    def members(self, group: str) -> int:
        """See the protocol."""
        return KafkaGroup(self._settings, group).members()

    def bury(self, topic: str, keys: Collection[tuple[int, bytes]]) -> None:
        """See the protocol."""
        if not keys:
            return
        producer = KafkaProducer(self._settings)
        for number, key in sorted(keys):
            producer.send(OutgoingRecord(topic, key, None, partition=number))
        producer.close(_FLUSH_S)
