"""The embedded stack is real Kafka and a real registry: codecs, restarts, kill -9 of it and of its parent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from headgate_local.folder import InUseError
from headgate_local.identity import ProcessIdentity
from headgate_local.stack import Stack
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_runtime.errors import HeadgateError

CODECS = ("lz4", "snappy", "zstd", "gzip", "lz4")
SCHEMA = json.dumps({"type": "record", "name": "Thing", "fields": [{"name": "id", "type": "string"}]})
NEXT_SCHEMA = json.dumps({"type": "record", "name": "Thing", "fields": [{"name": "id", "type": "int"}]})
HOLDER = """
import sys, threading
from pathlib import Path
from headgate_local.stack import Stack
with Stack(Path(sys.argv[1])):
    Path(sys.argv[1], "ready").touch()
    threading.Event().wait()
"""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("embedded")) as stack:
        yield stack


def settings(stack: Stack) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=stack.bootstrap_servers)


def write(stack: Stack, topic: str, count: int, codec: str = "none") -> list[bytes]:
    """Send records and return the values of those the broker has acknowledged."""
    producer = KafkaProducer(settings(stack), properties={"compression.type": codec})
    acknowledged: list[bytes] = []

    def delivered(value: bytes) -> Callable[[HeadgateError | None], None]:
        return lambda error: acknowledged.append(value) if error is None else None

    for number in range(count):
        value = b"%d %s" % (number, b"a value that compresses well " * 8)
        producer.send(OutgoingRecord(topic, b"%d" % (number % 7), value), delivered(value))
    producer.flush(30.0)
    return acknowledged


def read(stack: Stack, topic: str, count: int) -> list[bytes]:
    """Read a topic from its beginning until ``count`` records have come, or for 30 s."""
    consumer = KafkaConsumer(settings(stack), group_id=f"{topic}-{time.monotonic_ns()}")
    consumer.subscribe([topic], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        values += [record.value or b"" for record in consumer.poll(10_000, 0.2)]
    consumer.close()
    return values


@pytest.mark.parametrize(("sent", "stored"), list(pairwise(CODECS)))
def test_the_broker_reads_and_writes_every_codec(
    embedded: Stack, topic_name: Callable[[str], str], sent: str, stored: str
) -> None:
    topic = topic_name(sent)
    # a topic with a codec of its own makes the broker decompress and compress, which takes both codecs' libraries
    KafkaAdmin(settings(embedded)).create(topic, partitions=1, config={"compression.type": stored})
    written = write(embedded, topic, 500, codec=sent)
    assert len(written) == 500
    assert read(embedded, topic, 500) == written


def test_kill_9_of_kafka_right_after_the_acknowledgements_loses_nothing(
    embedded: Stack, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("acknowledged")
    KafkaAdmin(settings(embedded)).create(topic, partitions=3, config={})
    written = write(embedded, topic, 20_000)
    kafka = embedded.processes["kafka"]
    kafka.kill9()
    assert kafka.exit_code == -signal.SIGKILL
    kafka.start()
    kafka.wait_ready()
    assert len(written) == 20_000
    assert sorted(read(embedded, topic, len(written))) == sorted(written)


def test_kill_9_of_the_registry_right_after_a_registration_keeps_the_schema(
    embedded: Stack, topic_name: Callable[[str], str]
) -> None:
    subject = topic_name("subject")
    schema_id = ConfluentRegistry(RegistrySettings(url=embedded.registry_url)).register(subject, SCHEMA)
    process = embedded.processes["registry"]
    process.kill9()
    process.start()
    process.wait_ready()
    after = ConfluentRegistry(RegistrySettings(url=embedded.registry_url))
    assert after.schema_id(subject, SCHEMA) == schema_id
    assert after.schema(schema_id)["name"] == "Thing"


def test_the_registry_refuses_an_incompatible_schema_without_any_setting(
    embedded: Stack, topic_name: Callable[[str], str]
) -> None:
    registry = ConfluentRegistry(RegistrySettings(url=embedded.registry_url))
    subject = topic_name("subject")
    registry.register(subject, SCHEMA)
    with pytest.raises(RejectedError, match=r"(?i)compatib"):
        registry.register(subject, NEXT_SCHEMA)


def test_a_second_stack_in_the_same_folder_is_refused(embedded: Stack) -> None:
    with pytest.raises(InUseError, match="is in use by process"):
        Stack(embedded.data).start()
    assert embedded.processes["kafka"].running


def test_after_kill_9_of_the_parent_nothing_runs_and_the_next_start_has_data_and_ports(
    tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("kept")
    parent = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)])
    try:
        eventually((tmp_path / "ready").exists, timeout_s=90)
        identities = [ProcessIdentity.read(path) for path in (tmp_path / "run").glob("*.pid")]
        ports = json.loads((tmp_path / "stack.json").read_text())["ports"]
    finally:
        parent.kill()
        parent.wait()
    assert len(identities) == 2
    if sys.platform == "linux":
        eventually(lambda: not any(one and one.process() for one in identities), timeout_s=20)
    with Stack(tmp_path) as stack:
        assert {name: stack.port(name) for name in ports} == ports
        KafkaAdmin(settings(stack)).create(topic, partitions=1, config={})
        written = write(stack, topic, 100)
    with Stack(tmp_path) as again:
        assert again.bootstrap_servers == stack.bootstrap_servers
        assert read(again, topic, 100) == written
