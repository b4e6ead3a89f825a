"""State by key: restored as committed, bounded in memory, explained where the disk will not have it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.state import PartitionState, Spill, StateStore
from headgate_runtime.testing import MemoryBroker
from headgate_runtime.testing.producer import MemoryTransactionalProducer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SOURCES = [TopicPartition("in", 0), TopicPartition("in", 1)]
KEYS = [f"key-{number}".encode() for number in range(12)]
CAPACITY = 6


class NumberCodec:
    def dump(self, state: int) -> bytes:
        return json.dumps(state).encode()

    def load(self, value: bytes) -> int:
        return int(json.loads(value))


def reader(broker: MemoryBroker) -> Callable[[Mapping[TopicPartition, int], Callable[[Record], None]], None]:
    def read(starts: Mapping[TopicPartition, int], take: Callable[[Record], None]) -> None:
        for partition, start in starts.items():
            for record in broker.log(partition).visible(start, broker.log(partition).end)[0]:
                take(record)

    return read


def store_over(broker: MemoryBroker, *, capacity: int = CAPACITY, folder: Path | None = None) -> StateStore[int]:
    codecs = {"group": NumberCodec()}
    return StateStore(topic="changelog", codecs=codecs, read=reader(broker), capacity=capacity, folder=folder)


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("changelog", len(SOURCES))
    return broker


def commit(broker: MemoryBroker, store: StateStore[int], sources: list[TopicPartition]) -> None:
    producer = MemoryTransactionalProducer(broker, "t")
    producer.begin()
    for record in store.changes(sources):
        producer.send(record)
    producer.commit({}, None)
    store.committed(sources)


class StateMachine(RuleBasedStateMachine):
    """States move ahead of what is staged, commits fail, processes die: a restored state is always the committed one."""

    @initialize()
    def start(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("changelog", len(SOURCES))
        self.newest: dict[tuple[TopicPartition, bytes], int] = {}
        self.staged: dict[tuple[TopicPartition, bytes], int | None] = {}
        self.committed: dict[tuple[TopicPartition, bytes], int] = {}
        self.store = store_over(self.broker)
        self.store.assign(SOURCES)

    @rule(source=st.sampled_from(SOURCES), key=st.sampled_from(KEYS), state=st.none() | st.integers())
    def put(self, source: TopicPartition, key: bytes, state: int | None) -> None:
        self.store.of(source)[0].put(key, state)
        if state is None:
            self.newest.pop((source, key), None)
        else:
            self.newest[source, key] = state

    @rule(source=st.sampled_from(SOURCES), key=st.sampled_from(KEYS), state=st.none() | st.integers())
    def stage(self, source: TopicPartition, key: bytes, state: int | None) -> None:
        self.store.of(source)[0].stage(key, state)
        self.staged[source, key] = state

    @rule(committed=st.booleans())
    def end_transaction(self, *, committed: bool) -> None:
        if not committed:
            producer = MemoryTransactionalProducer(self.broker, "t")
            producer.begin()
            for record in self.store.changes(SOURCES):
                producer.send(record)
            producer.abort()
            return
        changes = self.store.changes(SOURCES)
        assert len({(change.partition, change.key) for change in changes}) == len(changes) == len(self.staged)
        commit(self.broker, self.store, SOURCES)
        for place, state in self.staged.items():
            if state is None:
                self.committed.pop(place, None)
            else:
                self.committed[place] = state
        self.staged.clear()

    @rule()
    def crash(self) -> None:
        self.store.close()
        self.store = store_over(self.broker)
        self.store.assign(SOURCES)
        self.newest, self.staged = dict(self.committed), {}

    @rule(source=st.sampled_from(SOURCES))
    def rebalance(self, source: TopicPartition) -> None:
        self.store.drop([source])
        self.store.assign([source])
        self.newest = {place: state for place, state in self.newest.items() if place[0] != source}
        self.newest |= {place: state for place, state in self.committed.items() if place[0] == source}
        self.staged = {place: state for place, state in self.staged.items() if place[0] != source}

    @rule(source=st.sampled_from(SOURCES), key=st.sampled_from(KEYS))
    def look(self, source: TopicPartition, key: bytes) -> None:
        assert self.store.of(source)[0].get(key) == self.newest.get((source, key))

    @invariant()
    def memory_is_bounded_and_every_key_is_somewhere(self) -> None:
        if hasattr(self, "store"):
            assert self.store.in_memory <= CAPACITY
            assert self.store.in_memory + self.store.on_disk == len(self.newest)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for source in SOURCES:
                for key in KEYS:
                    self.look(source, key)
            self.store.close()


TestStateStore = StateMachine.TestCase
TestStateStore.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_store_takes_only_the_keys_of_its_namespace(broker: MemoryBroker) -> None:
    for key in (b"group/mine", b"another/theirs", b"grou", None):
        broker.append(OutgoingRecord("changelog", key, b"1", partition=0))
    store = store_over(broker)
    store.assign(SOURCES)
    assert (store.of(SOURCES[0])[0].get(b"mine"), store.in_memory) == (1, 1)


def test_each_namespace_has_its_own_states_of_a_key_and_all_share_the_capacity(broker: MemoryBroker) -> None:
    def both() -> StateStore[int]:
        codecs = {"one": NumberCodec(), "two": NumberCodec()}
        store = StateStore(topic="changelog", codecs=codecs, read=reader(broker), capacity=CAPACITY)
        store.assign(SOURCES)
        return store

    store = both()
    one, two = store.of(SOURCES[0])
    for number, states in ((1, one), (2, two)):
        states.put(b"key", number)
        states.stage(b"key", number)
    commit(broker, store, SOURCES)
    assert {record.key for record in broker.records("changelog")} == {b"one/key", b"two/key"}
    restored = both()
    assert [states.get(b"key") for states in restored.of(SOURCES[0])] == [1, 2]
    assert [states.get(b"key") for states in restored.of(SOURCES[1])] == [None, None]
    for key in KEYS:
        restored.of(SOURCES[0])[0].put(key, 3)
        restored.of(SOURCES[0])[1].put(key, 4)
    assert restored.in_memory <= CAPACITY


def test_the_longest_unused_keys_go_to_disk_and_come_back(broker: MemoryBroker, tmp_path: Path) -> None:
    store = store_over(broker, capacity=8, folder=tmp_path / "state")
    store.assign(SOURCES[:1])
    states = store.of(SOURCES[0])[0]
    for number in range(8):
        states.put(b"%d" % number, number)
    states.put(b"0", 0)
    states.put(b"new", 8)
    assert (store.in_memory, store.on_disk) == (8, 1)
    assert list(states._live) == [b"2", b"3", b"4", b"5", b"6", b"7", b"0", b"new"]
    assert states.get(b"1") == 1
    assert (store.in_memory, store.on_disk) == (8, 1)


def test_nothing_is_left_in_the_folder(broker: MemoryBroker, tmp_path: Path) -> None:
    store = store_over(broker, capacity=2, folder=tmp_path / "state")
    store.assign(SOURCES)
    assert not (tmp_path / "state").exists()
    for key in KEYS:
        store.of(SOURCES[0])[0].put(key, 1)
    assert store.on_disk > 0
    store.close()
    assert list((tmp_path / "state").iterdir()) == []
    assert (store.in_memory, store.on_disk) == (0, 0)


def test_capacity_is_shared_by_the_partitions(broker: MemoryBroker) -> None:
    store = store_over(broker, capacity=10)
    store.assign(SOURCES)
    for source in SOURCES:
        for key in KEYS:
            store.of(source)[0].put(key, 1)
    assert store.in_memory <= 10
    assert store.in_memory + store.on_disk == len(SOURCES) * len(KEYS)


def test_a_disk_that_will_not_have_it_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("a file, not a folder")
    states = PartitionState(NumberCodec(), Spill(in_the_way, "in-0"), 1)
    states.put(b"a", 1)
    with pytest.raises(UnavailableError, match=r"cannot be kept on disk in .*state.*name another state folder"):
        states.put(b"b", 2)


def test_a_state_is_decoded_once_and_not_before_it_is_wanted(broker: MemoryBroker) -> None:
    broker.append(OutgoingRecord("changelog", b"group/good", b"7", partition=0))
    broker.append(OutgoingRecord("changelog", b"group/bad", b"no number", partition=0))
    store = store_over(broker)
    store.assign(SOURCES)
    assert store.of(SOURCES[0])[0].get(b"good") == 7
    with pytest.raises(ValueError, match="Expecting value"):
        store.of(SOURCES[0])[0].get(b"bad")


def test_what_is_restored_can_be_gone_through_encoded_wherever_it_is(tmp_path: Path) -> None:
    state = PartitionState(NumberCodec(), Spill(tmp_path, "s"), 4)
    for number, key in enumerate(KEYS):
        state.restore(key, NumberCodec().dump(number))
    assert state.on_disk > 0
    assert dict(state.encoded()) == {key: NumberCodec().dump(number) for number, key in enumerate(KEYS)}
    assert state.get(KEYS[0]) == 0
