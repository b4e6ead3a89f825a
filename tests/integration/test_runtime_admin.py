"""Topics, compatibility and schemas on real parts, through the runtime's adapters."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError, UndecodableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.groups import KafkaGroup
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas.records import parse_record

if TYPE_CHECKING:
    from headgate_local.fixtures import Brokers

TopicName = Callable[[str], str]
FIELD = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
RECORD = parse_record("sample", 1, {"type": "record", "name": "sample", "namespace": "t", "fields": [FIELD]})


@pytest.fixture
def admin(stack: Brokers) -> KafkaAdmin:
    return KafkaAdmin(KafkaSettings(bootstrap_servers=stack.bootstrap_servers))


@pytest.fixture
def registry(stack: Brokers) -> ConfluentRegistry:
    return ConfluentRegistry(RegistrySettings(url=stack.registry_url))


def test_a_topic_is_created_seen_altered_and_grown(admin: KafkaAdmin, topic_name: TopicName) -> None:
    topic = topic_name("admin")
    admin.create(topic, partitions=2, config={"retention.ms": "60000"})
    info = admin.topics()[topic]
    assert (info.partitions, info.replication_factor, info.config) == (2, 1, {"retention.ms": "60000"})
    admin.alter_config(topic, {"max.message.bytes": "2000000"})
    admin.add_partitions(topic, 3)
    info = admin.topics()[topic]
    assert (info.partitions, info.config) == (3, {"retention.ms": "60000", "max.message.bytes": "2000000"})


def test_a_topic_made_again_has_another_id(admin: KafkaAdmin, topic_name: TopicName) -> None:
    topic = topic_name("admin")
    admin.create(topic, partitions=1, config={})
    first = admin.topic_ids([topic])[topic]
    assert admin.topic_ids([topic])[topic] == first
    admin.delete(topic)
    eventually(lambda: topic not in admin.topics())
    admin.create(topic, partitions=1, config={})
    assert admin.topic_ids([topic])[topic] != first


def test_a_topic_that_does_not_exist_has_no_id(admin: KafkaAdmin, topic_name: TopicName) -> None:
    known = topic_name("known")
    admin.create(known, partitions=1, config={})
    assert set(admin.topic_ids([topic_name("missing"), known])) == {known}


def test_what_the_broker_refuses_is_rejected(admin: KafkaAdmin, topic_name: TopicName) -> None:
    topic = topic_name("admin")
    admin.create(topic, partitions=1, config={})
    for attempt in (
        lambda: admin.create(topic, partitions=1, config={}),
        lambda: admin.create(topic_name("admin"), partitions=1, config={"retention.ms": "soon"}),
        lambda: admin.create(topic_name("bad name"), partitions=1, config={}),
        lambda: admin.add_partitions(topic, 1),
        lambda: admin.alter_config(topic, {"no.such.setting": "1"}),
    ):
        with pytest.raises(RejectedError):
            attempt()


def test_the_cluster_has_an_id_that_stays(admin: KafkaAdmin) -> None:
    assert admin.cluster_id() == admin.cluster_id() != ""


def test_a_value_goes_round_by_the_registered_schema(registry: ConfluentRegistry, topic_name: TopicName) -> None:
    subject = f"{topic_name('codec')}-value"
    with pytest.raises(ConfigurationError, match="headgate schemas register"):
        Encoder(registry, subject, RECORD)
    schema_id = registry.register(subject, RECORD.text)
    assert registry.register(subject, RECORD.text) == schema_id
    assert registry.versions(subject) == [1]
    framed = Encoder(registry, subject, RECORD).encode({"at": 1_700_000_000_123})
    assert int.from_bytes(framed[1:5], "big") == schema_id
    assert Decoder(registry, RECORD).decode(framed) == {"at": 1_700_000_000_123}


def test_an_id_the_registry_never_gave_is_a_dead_letter(registry: ConfluentRegistry) -> None:
    with pytest.raises(UndecodableError) as caught:
        Decoder(registry, RECORD).decode(b"\x00\x7f\xff\xff\xff\x00")
    assert caught.value.cause == "unknown_schema_id"


def test_compatibility_is_per_subject_and_enforced(registry: ConfluentRegistry, topic_name: TopicName) -> None:
    subject = f"{topic_name('codec')}-value"
    assert registry.compatibility(subject) is None
    registry.register(subject, RECORD.text)
    registry.set_compatibility(subject, "FULL_TRANSITIVE")
    assert registry.compatibility(subject) == "FULL_TRANSITIVE"
    added = {"name": f"f{uuid.uuid4().hex}", "type": "string"}
    breaking = parse_record(
        "sample", 2, {"type": "record", "name": "sample", "namespace": "t", "fields": [FIELD, added]}
    )
    with pytest.raises(RejectedError):
        registry.register(subject, breaking.text)
    assert registry.versions(subject) == [1]


def test_offsets_are_found_by_time_and_a_stretch_between_two_is_read(
    stack: Brokers, admin: KafkaAdmin, topic_name: TopicName
) -> None:
    topic, settings = topic_name("stretch"), KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
    admin.create(topic, partitions=2, config={})
    full, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    producer = KafkaProducer(settings)
    for number in range(10):
        value = str(number).encode()
        producer.send(OutgoingRecord(topic, b"k", value, partition=0, timestamp_ms=1_764_000_000_000 + number))
    producer.close()
    assert admin.first_offsets([full, empty]) == {full: 0, empty: 0}
    assert admin.offsets_at([full, empty], 1_764_000_000_004) == {full: 4}
    assert admin.offsets_at([full, empty], 1_764_000_000_010) == {}
    read: list[bytes | None] = []
    ends = {full: 7, empty: 0}
    assert read_range(settings, {full: 4, empty: 0}, lambda each: read.append(each.value), 20, ends=ends) == ends
    assert read == [b"4", b"5", b"6"]


def test_a_group_without_members_is_told_where_to_begin(
    stack: Brokers, admin: KafkaAdmin, topic_name: TopicName
) -> None:
    topic, settings = topic_name("group"), KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
    admin.create(topic, partitions=2, config={})
    group = KafkaGroup(settings, topic)
    assert group.committed() == {}
    assert group.members() == 0
    producer = KafkaProducer(settings)
    for _ in range(5):
        producer.send(OutgoingRecord(topic, b"k", b"v", partition=0))
    producer.close()
    places = {TopicPartition(topic, 0): 5, TopicPartition(topic, 1): 0}
    group.move(places)
    assert group.committed() == places
    consumer = KafkaConsumer(settings, group_id=topic)
    consumer.subscribe([topic], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)
    eventually(lambda: not consumer.poll(1, 0.1) and len(consumer.assignment()) == 2, 30)
    assert group.members() == 1
    with pytest.raises(UnavailableError, match=f"move the offsets of group {topic}"):
        group.move(places)
    consumer.close()
