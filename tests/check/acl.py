"""Tries what every service may do on a broker that allows only what the contracts say: ``make check-acl``.

Each principal tries to read and to write every topic, to commit for every service's group, and to take every service's
transactional ids over; what it could do is held against the contracts themselves, not against the rules made of them. One
more client, which is nobody, may do nothing. The figures go to ``build/check/acl.json``, and it exits with 1 where somebody
could do too much or too little.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from headgate_admin.topics.acls import apply_acls, plan_acls, services_of, wanted_rules
from headgate_admin.topics.plan import apply_topics, plan_topics
from headgate_local.figures import write_figures
from headgate_local.progress import PlainProgress
from headgate_local.security import Security
from headgate_local.stack import Stack
from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.acls import KafkaAcls
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.groups import KafkaGroup
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import TopicPartition as Place
from headgate_schemas import Contracts
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_runtime.config import KafkaSettings

ROOT = Path(__file__).parents[2]
NOBODY = "nobody"
PRINCIPAL = "User:headgate-{service}"
TIMEOUT_S = 60.0
_DENIED = {KafkaError.TOPIC_AUTHORIZATION_FAILED}
_PASSING = {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._ALL_BROKERS_DOWN}
CONTRACTS = Contracts.load()
TOPICS = CONTRACTS.topics


class Attempt(NamedTuple):
    """Something a service tried: ``read``, ``write``, ``group`` or ``transactional id``, and with what."""

    service: str
    action: str
    name: str


def allowed_by_contract(attempt: Attempt) -> bool:
    """Whether the contracts say that the service does this."""
    reads = any(attempt.service in topic.consumers for topic in TOPICS.values())
    writes = any(attempt.service in topic.producers for topic in TOPICS.values())
    match attempt.action:
        case "read":
            return attempt.service in TOPICS[attempt.name].consumers
        case "write":
            return attempt.service in TOPICS[attempt.name].producers
        case "group":
            return attempt.service == attempt.name and reads
        case _:
            return attempt.service == attempt.name and reads and writes


def readable(settings: KafkaSettings) -> dict[str, bool]:
    """Whether each topic can be read: an end or a record of it comes, or a refusal.

    Raises:
        RuntimeError: Neither comes in time.
    """
    own = {"group.id": "headgate-check", "enable.partition.eof": "true", "enable.auto.commit": "false"}
    consumer = ClientContext(settings).make(Consumer, own)
    errors = {topic: consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].error for topic in TOPICS}
    # the client tells nobody of a topic in its assignment that it may not even see
    found = {topic: False for topic, error in errors.items() if error is not None and error.code() in _DENIED}
    consumer.assign([TopicPartition(topic, 0, 0) for topic in TOPICS if topic not in found])
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while len(found) < len(TOPICS) and time.monotonic() < deadline:
            for message in consumer.consume(100, 0.2):
                error = message.error()
                code = None if error is None else error.code()
                if code in {None, KafkaError._PARTITION_EOF}:
                    found[message.topic()] = True
                elif code in _DENIED:
                    found[message.topic()] = False
                elif code not in _PASSING:
                    raise RuntimeError(f"{message.topic()}: {error}")
    finally:
        consumer.close()
    if missing := sorted(TOPICS.keys() - found):
        raise RuntimeError(f"no word about {missing} in {TIMEOUT_S:g} s")
    return found


def writable(settings: KafkaSettings) -> dict[str, bool]:
    """Whether each topic can be written.

    Raises:
        RuntimeError: A record is neither taken nor refused.
    """
    producer = ClientContext(settings).make(Producer, {"acks": "all", "message.timeout.ms": int(TIMEOUT_S * 1000)})
    found: dict[str, bool] = {}

    def delivered(error: KafkaError | None, message: Any) -> None:
        if error is not None and error.code() not in _DENIED:
            raise RuntimeError(f"{message.topic()}: {error}")
        found[message.topic()] = error is None

    for topic in TOPICS:
        producer.produce(topic, b"value", b"key", on_delivery=delivered)
    producer.flush(TIMEOUT_S)
    if missing := sorted(TOPICS.keys() - found):
        raise RuntimeError(f"no word about {missing} in {TIMEOUT_S:g} s")
    return found


def attempts(service: str, settings: KafkaSettings) -> Iterator[tuple[Attempt, bool]]:
    """Everything a service tries, and whether it could."""
    for topic, could in readable(settings).items():
        yield Attempt(service, "read", topic), could
    for topic, could in writable(settings).items():
        yield Attempt(service, "write", topic), could
    own = next((name for name, topic in TOPICS.items() if service in topic.consumers), "raw-events")
    for other in services_of(TOPICS.values()):
        group = KafkaGroup(settings, other)
        yield Attempt(service, "group", other), _could(lambda group=group: group.move({Place(own, 0): 0}))  # type: ignore[misc]
        take = lambda other=other: KafkaTransactionalProducer(settings, transactional_id=f"{other}-0").close()  # type: ignore[misc]  # noqa: E731 - as above
        yield Attempt(service, "transactional id", other), _could(take)


def _could(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except RejectedError as error:
        if "AUTHORIZATION_FAILED" not in str(error):
            raise
        return False
    return True


def prepare(stack: Stack) -> None:
    """Make the topics and the rules of the contracts."""
    desired = list(TOPICS.values())
    admin = KafkaAdmin(stack.kafka(None))
    apply_topics(desired, plan_topics(desired, admin.topics()), admin, 1)
    cluster = KafkaAcls(stack.kafka(None))
    apply_acls(plan_acls(wanted_rules(desired, PRINCIPAL), set()), cluster.add, cluster.remove)


def tried() -> dict[Attempt, bool]:
    """What every service could do."""
    found: dict[Attempt, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        progress = PlainProgress(sys.stderr)
        with Stack(Path(folder), registry=False, security=Security.SCRAM, progress=progress) as stack:
            prepare(stack)
            clients = {service: stack.kafka(service) for service in services_of(TOPICS.values())}
            unnamed = {"certificate_file": None, "key_file": None}
            clients[NOBODY] = stack.certified_kafka("writer").model_copy(update=unnamed)
            for service, settings in clients.items():
                found.update(attempts(service, settings))
                progress.say(f"{service} has tried everything")
    return found


def main() -> int:
    """Try, print and write the figures; 1 where somebody could do too much or too little."""
    found = tried()
    wrong = {attempt: could for attempt, could in found.items() if could != allowed_by_contract(attempt)}
    kinds = Counter(attempt.action for attempt in found)
    figures = {
        "pairs": kinds["read"] + kinds["write"],
        "groups": kinds["group"],
        "transactional_ids": kinds["transactional id"],
        "allowed": sum(found.values()),
        "wrongly_allowed": sum(wrong.values()),
        "wrongly_denied": len(wrong) - sum(wrong.values()),
    }
    table = Table("figure", "value", title="Access")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    console = Console()
    console.print(table)
    for attempt, could in wrong.items():
        console.print(
            f"{attempt.service} {'could' if could else 'could not'} {attempt.action} {attempt.name}", style="red"
        )
    console.print(str(write_figures("check", "acl", figures, root=ROOT).relative_to(ROOT)), style="dim")
    return 1 if wrong or not figures["pairs"] else 0


if __name__ == "__main__":
    sys.exit(main())
