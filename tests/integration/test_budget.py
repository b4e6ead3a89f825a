"""The budget on a real broker: processes that want far more than the limit, killed in the middle of calls, never pass it."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from headgate_enricher.budget.entries import EntryCodec
from headgate_enricher.budget.follower import Follower
from headgate_enricher.budget.limits import Scope
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.tail import KafkaTail
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts, compile_rules

from .spender import AGENT, MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_enricher.budget.ledger import Ledger
    from headgate_local.fixtures import Brokers

ROOT = Path(__file__).parents[2]
LIMIT = 3_000
REPLICAS = 4
KILLS = 8


class World:
    """A ledger of its own, and spenders on demand."""

    def __init__(self, brokers: Brokers, folder: Path, topic: str) -> None:
        self.brokers, self.folder = brokers, folder
        shipped = Contracts.load().directory
        contract = yaml.safe_load((shipped / "topics/budget-ledger.yaml").read_text("utf-8")) | {"topic": topic}
        (folder / "topics").mkdir()
        (folder / "avro").symlink_to(shipped / "avro")
        (folder / f"topics/{topic}.yaml").write_text(yaml.safe_dump(contract), "utf-8")
        self.contracts = Contracts.load(folder)
        self.contract = self.contracts.topic(topic)
        self.kafka = KafkaSettings(bootstrap_servers=brokers.bootstrap_servers)
        self.registry = ConfluentRegistry(RegistrySettings(url=brokers.registry_url))
        KafkaAdmin(self.kafka).create(topic, partitions=1, config={"message.timestamp.type": "LogAppendTime"})
        self.registry.register(self.contract.subject, self.contracts.record(self.contract.record).text)
        self.journal = folder / "journal"
        self.journal.touch()

    def spender(self, instance: str) -> ServiceProcess:
        where = (self.brokers.bootstrap_servers, self.brokers.registry_url, str(self.folder), self.contract.topic)
        command = [sys.executable, "-m", "tests.integration.spender", *where, instance, str(LIMIT), str(self.journal)]
        environment = {"PYTHONPATH": str(ROOT)}
        ready = lambda: None if self.spent_by(instance) else "has asked for nothing"  # noqa: E731 - one line
        return ServiceProcess(ProcessSpec(instance, command, self.folder / "run", ready, environment))

    def lines(self) -> list[tuple[str, str, int]]:
        whole = self.journal.read_text("utf-8").rpartition("\n")[0].splitlines()
        return [(who, outcome, int(used)) for who, outcome, used in map(str.split, whole)]

    def spent_by(self, instance: str) -> list[int]:
        return [used for who, _, used in self.lines() if who == instance]

    def ledger(self) -> Ledger:
        record = self.contracts.record(self.contract.record)
        codec = EntryCodec(
            Encoder(self.registry, self.contract.subject, record),
            Decoder(self.registry, record),
            compile_rules(self.contract),
            "reader",
        )
        tail = KafkaTail(self.kafka, TopicPartition(self.contract.topic, 0))
        follower = Follower(codec, "")
        follower.catch_up(tail, lambda: False)
        tail.close()
        return follower.ledger


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(stack, tmp_path, topic_name("ledger"))


@contextmanager
def running(processes: list[ServiceProcess]) -> Iterator[None]:
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop_together(processes)


def test_replicas_killed_in_the_middle_of_calls_never_spend_more_than_the_limit(world: World) -> None:
    spenders = [world.spender(f"spender-{number}") for number in range(REPLICAS)]
    with running(spenders):
        for spender in spenders:
            spender.wait_ready()
        for kill in range(KILLS):
            victim = spenders[kill % REPLICAS]
            before = len(world.spent_by(victim.name))
            victim.kill9()
            assert victim.revive()
            eventually(lambda name=victim.name, before=before: len(world.spent_by(name)) > before + 20, 30)
        eventually(lambda: len(world.lines()) * MOST > 20 * LIMIT, 60)
    lines = world.lines()
    spent = sum(used for _, _, used in lines)
    ledger = world.ledger()
    account = ledger.account(Scope("agent", AGENT), "day", ledger.time_ms)
    assert spent <= LIMIT
    assert account.counted.tokens <= LIMIT
    assert account.settled.tokens <= spent, "what is settled was spent"
    # Only what killed processes had set aside may be left over: at most all they had under way each time.
    assert account.counted.tokens > LIMIT - MOST
    outcomes = Counter(outcome for _, outcome, _ in lines)
    assert outcomes["refused"] > outcomes["granted"] > LIMIT // MOST // 2


def test_a_tail_reads_on_as_records_come_and_never_jumps(world: World) -> None:
    tail = KafkaTail(world.kafka, TopicPartition(world.contract.topic, 0))
    assert tail.bounds() == (0, 0)
    tail.start(0)
    producer = KafkaProducer(world.kafka)
    for number in range(3):
        producer.send(OutgoingRecord(world.contract.topic, None, b"%d" % number, partition=0))
        assert producer.flush(10) == 0
        found = eventually(lambda: tail.poll(10, 0.2))
        assert [(record.offset, record.value) for record in found] == [(number, b"%d" % number)]
        assert tail.position() == number + 1
    tail.start(1)
    eventually(lambda: tail.poll(10, 0.2) and tail.position() == 3)
    tail.start(100)
    with pytest.raises(RejectedError):
        eventually(lambda: tail.poll(1, 0.2))
    tail.close()
