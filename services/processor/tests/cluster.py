"""A broker in memory with the processor's topics, instances of it on demand, and what its windows should come to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from headgate_processor.app import Clients, Parts, build_worker
from headgate_processor.catalog import build_catalog
from headgate_processor.config import Settings
from headgate_processor.definition import Definition
from headgate_processor.topics import Topics
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import UnavailableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.native import installed_decoder
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryRegistry, MemoryTransactionalProducer
from headgate_schemas import Contracts, field_getter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headgate_runtime.native import MakeNative
    from headgate_runtime.testing.group import GroupMetadata

CONTRACTS = Contracts.load()
EVENT = CONTRACTS.examples("agent_enriched_event")["rules_allow"]
START_MS = 1_764_000_000_000
MINUTE_MS = 60_000
GROUP = "processor"
NATIVE = installed_decoder()[1]
USER, AMOUNT, CURRENCY = (f"payload.attributes.{name}" for name in ("user_id", "amount", "currency"))


def definition(**changes: Any) -> Definition:
    """An account's events, each minute, with no grace to speak of; changed."""
    plain: dict[str, Any] = {
        "name": "activity",
        "description": "What an account did.",
        "source": "enriched-events",
        "output": "account-profiles",
        "key": [USER],
        "grace": "1ms",
        "windows": [{"name": "1m", "kind": "tumbling", "size": "1m"}],
        "aggregates": [{"name": "amount", "kind": "sum", "of": AMOUNT, "split_by": CURRENCY}],
    }
    return Definition.model_validate(plain | changes)


def metric(**changes: Any) -> Definition:
    """Events by decision, each minute; changed."""
    plain = {"name": "decisions", "output": "decision-metrics", "key": ["agent_metadata.decision"], "aggregates": []}
    return definition(**plain | changes)


def event(user: str = "user", at: int = 0, **changes: Any) -> dict[str, Any]:
    """An event ``at`` so many milliseconds after the start; changed at dotted paths, whose points are written ``__``."""
    value: dict[str, Any] = {
        **EVENT,
        "event_timestamp": START_MS + at,
        "payload": {"attributes": {**EVENT["payload"]["attributes"], "user_id": user}},
        "agent_metadata": {**EVENT["agent_metadata"], "revision": 0},
        "processing_metadata": dict(EVENT["processing_metadata"]),
    }
    for path, changed in changes.items():
        parents, _, leaf = path.rpartition("__")
        (field_getter(parents.replace("__", "."))(value) if parents else value)[leaf] = changed
    return value


class Member(MemoryConsumer):
    """Has no proof of ownership for as many calls as ``faults``, as during a rebalance."""

    faults = 0

    def group_metadata(self) -> GroupMetadata:
        if self.faults:
            self.faults -= 1
            raise UnavailableError("the group has a rebalance")
        return super().group_metadata()


class Cluster:
    """A broker, and one instance or several."""

    def __init__(self, *definitions: Definition, partitions: int = 2, native: bool = True, **settings: Any) -> None:
        plain = {"instance": "processor-0", "commit_interval_ms": 1, "out_of_orderness_s": 0, "max_ahead_s": 3_600}
        self.settings = Settings(**plain | settings)
        self.catalog = build_catalog(
            definitions or [definition()],
            CONTRACTS,
            profiles_topic=self.settings.profiles_topic,
            metrics_topic=self.settings.metrics_topic,
        )
        self.topics = Topics.of(self.settings, CONTRACTS, self.catalog.source)
        self.partitions = partitions
        self.make_native: MakeNative | None = NATIVE if native else None
        self.broker = MemoryBroker(max_record_bytes=4_000_000)
        self.registry = MemoryRegistry()
        for name in Topics.__dataclass_fields__:
            contract = getattr(self.topics, name)
            self.broker.create_topic(contract.topic, 1 if name == "parts" else partitions)
            self.registry.register(contract.subject, CONTRACTS.record(contract.record).text)
        source = self.topics.source
        self.encoder = Encoder(self.registry, source.subject, CONTRACTS.record(source.record))
        self.now_s = 1_000.0
        self.start()

    def start(self) -> None:
        """Start an instance; one that runs is killed by that, its transaction aborted."""
        self.metrics = Metrics()
        self.consumer = Member(self.broker, GROUP)
        clients = Clients(
            consumer=self.consumer,
            transactions=MemoryTransactionalProducer(self.broker, "processor-0"),
            registry=self.registry,
            read_range=self.broker.read_range,
            make_native=self.make_native,
        )
        parts = Parts(self.settings, CONTRACTS, self.catalog, self.topics, clients, self.partitions)
        self.worker = build_worker(parts, self.metrics, clock=lambda: self.now_s)
        self.consumer.subscribe(
            [self.topics.source.topic, self.topics.parts.topic],
            on_assign=self.worker.assign,
            on_revoke=self.worker.revoke,
            on_lost=self.worker.lose,
        )

    def restart(self) -> None:
        """Kill the instance and start another."""
        self.consumer.expire()
        self.start()

    def send(self, *events: Mapping[str, Any], partition: int = 0) -> None:
        """Append events to a partition; their records are as old as they are."""
        for each in events:
            self.append(self.encoder.encode(each), partition, each["event_timestamp"])

    def append(self, value: bytes | None, partition: int = 0, at: int = START_MS) -> None:
        """Append a record."""
        self.broker.append(OutgoingRecord(self.topics.source.topic, b"k", value, (), partition, at))

    def take(self, records: int = 1_000) -> None:
        """What the loop does with records, but for the tick."""
        self.worker.process(self.consumer.poll(0 if self.worker.congested() else records, 0))

    def tick(self, seconds: float = 0.01) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.worker.tick(draining=False)

    def run(self, rounds: int = 8) -> None:
        """Take what there is, commit, and take what came of that."""
        for _ in range(rounds):
            self.take()
            self.tick()

    def read(self, topic: str) -> list[dict[str, Any]]:
        """The values of a topic's committed records."""
        contract = CONTRACTS.topic(topic)
        decoder = Decoder(self.registry, CONTRACTS.record(contract.record))
        return [decoder.decode(record.value) for record in self.broker.records(topic)]

    def profiles(self) -> dict[tuple[str, str, int, int], dict[str, Any]]:
        """Windows by account, name, start and end, both after the start; each is there once."""
        found: dict[tuple[str, str, int, int], dict[str, Any]] = {}
        for each in self.read("account-profiles"):
            at = (each["account"], each["window"], each["window_start"] - START_MS, each["window_end"] - START_MS)
            assert at not in found, f"{at} was told twice"
            found[at] = each
        return found

    def metric_windows(self) -> dict[tuple[str, str, int, int | None], dict[str, Any]]:
        """Windows by metric, key, start after the start and partition; each is there once."""
        found: dict[tuple[str, str, int, int | None], dict[str, Any]] = {}
        for each in self.read("decision-metrics"):
            at = (each["metric"], each["key"], each["window_start"] - START_MS, each["source_partition"])
            assert at not in found, f"{at} was told twice"
            found[at] = each
        return found

    def metric(self, name: str, **labels: str) -> float:
        """A metric's sample."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def committed(self, partition: int = 0) -> int:
        """The group's offset."""
        return self.broker.committed(GROUP).get(TopicPartition(self.topics.source.topic, partition), 0)


def units(written: bytes) -> int:
    """A decimal's digits as a whole number."""
    return int.from_bytes(written, "big", signed=True)


def stepped(events: Iterable[tuple[str, int]], size: int, step: int) -> dict[tuple[str, int, int], int]:
    """Events of each user and window of a size that begins at a multiple of a step; worked out one by one."""
    counts: dict[tuple[str, int, int], int] = defaultdict(int)
    for user, at in events:
        for start in range((at - size) // step * step, at + 1, step):
            if start <= at < start + size:
                counts[user, start, start + size] += 1
    return dict(counts)


def sessions(events: Iterable[tuple[str, int]], gap: int) -> dict[tuple[str, int, int], int]:
    """Events of each user and stretch without a longer gap."""
    times: dict[str, list[int]] = defaultdict(list)
    for user, at in events:
        times[user].append(at)
    counts: dict[tuple[str, int, int], int] = {}
    for user, unordered in times.items():
        first = last = None
        number = 0
        for at in [*sorted(unordered), None]:
            if last is not None and first is not None and (at is None or at - last > gap):
                counts[user, first, last + gap] = number
                first, number = None, 0
            first = at if first is None else first
            last, number = at, number + 1
    return counts
