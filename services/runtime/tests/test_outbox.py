"""The outbox: outputs stay until their commit has succeeded, and a repeat sends each of them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import FencedError, UnavailableError
from headgate_runtime.outbox import Outbox, Output
from headgate_runtime.records import OutgoingRecord, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

ZERO, ONE = TopicPartition("in", 0), TopicPartition("in", 1)
PROGRESS = OutgoingRecord("progress", b"p", b"p")


@dataclass
class FaultyTransactions:
    """Commits to memory; raises ``faults`` by the name of the call, first come first."""

    faults: dict[str, list[Exception]] = field(default_factory=dict)
    committed: list[list[bytes | None]] = field(default_factory=list)
    offsets: list[dict[TopicPartition, int]] = field(default_factory=list)
    open: list[bytes | None] | None = None

    def begin(self) -> None:
        assert self.open is None
        self.open = []

    def send(self, record: OutgoingRecord) -> None:
        assert self.open is not None
        self._fail("send")
        self.open.append(record.value)

    def commit(self, offsets: Mapping[TopicPartition, int], group: object) -> None:
        assert self.open is not None
        assert group == "proof"
        self._fail("commit")
        self.committed.append(self.open)
        self.offsets.append(dict(offsets))
        self.open = None

    def abort(self) -> None:
        self._fail("abort")
        self.open = None

    def close(self) -> None:
        assert self.open is None

    def _fail(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)


def output(value: bytes, source: TopicPartition = ZERO) -> Output:
    return Output(source, 0, OutgoingRecord("out", b"k", value))


def commit(outbox: Outbox) -> list[Output] | None:
    return outbox.commit([PROGRESS], {ZERO: 5}, lambda: "proof")


def test_streamed_outputs_and_their_progress_are_one_transaction() -> None:
    transactions = FaultyTransactions()
    outbox = Outbox(transactions)
    outbox.put(output(b"1"))
    outbox.stream()
    outbox.put(output(b"2"))
    committed = commit(outbox)
    assert committed is not None
    assert [each.record.value for each in committed] == [b"1", b"2"]
    assert transactions.committed == [[b"1", b"2", b"p"]]
    assert transactions.offsets == [{ZERO: 5}]
    assert len(outbox) == 0


def test_what_asks_a_person_goes_along_with_its_output_and_is_none_itself() -> None:
    transactions = FaultyTransactions()
    outbox = Outbox(transactions)
    asking = output(b"1")
    asking.beside = OutgoingRecord("reviews", b"k", b"why")
    outbox.put(asking)
    outbox.put(output(b"2"))
    assert len(commit(outbox) or ()) == 2
    assert transactions.committed == [[b"1", b"why", b"2", b"p"]]


@pytest.mark.parametrize("call", ["send", "commit"])
def test_an_unavailable_broker_leaves_all_for_the_next_transaction(call: str) -> None:
    now = [0.0]
    transactions = FaultyTransactions({call: [UnavailableError("away")]})
    outbox = Outbox(transactions, lambda: now[0])
    outbox.put(output(b"1"))
    outbox.stream()
    if not outbox.backing_off:
        assert commit(outbox) is None
    assert transactions.open is None
    assert outbox.backing_off
    outbox.put(output(b"2"))
    outbox.stream()
    assert transactions.open is None, "nothing is sent while backing off"
    now[0] = 1.0
    assert not outbox.backing_off
    assert commit(outbox) is not None
    assert transactions.committed == [[b"1", b"2", b"p"]]


def test_the_back_off_grows_and_starts_anew_after_a_success() -> None:
    now = [0.0]
    transactions = FaultyTransactions({"commit": [UnavailableError("away")] * 9})
    outbox = Outbox(transactions, lambda: now[0])
    waits = []
    while True:
        outbox.put(output(b"x"))
        if commit(outbox) is not None:
            break
        began = now[0]
        while outbox.backing_off:
            now[0] += 0.05
        waits.append(now[0] - began)
    assert waits == sorted(waits)
    assert 5.0 <= waits[-1] < 5.2
    transactions.faults["commit"] = [UnavailableError("away")]
    outbox.put(output(b"x"))
    commit(outbox)
    now[0] += 0.2
    assert not outbox.backing_off


def test_a_member_without_proof_of_ownership_commits_nothing() -> None:
    transactions = FaultyTransactions()
    outbox = Outbox(transactions)
    outbox.put(output(b"1"))

    def no_member() -> object:
        raise UnavailableError("not a member")

    assert outbox.commit([PROGRESS], {ZERO: 5}, no_member) is None
    assert transactions.committed == []
    assert len(outbox) == 1


def test_outputs_of_a_lost_partition_are_never_committed() -> None:
    transactions = FaultyTransactions()
    outbox = Outbox(transactions)
    outbox.put(output(b"mine"))
    outbox.put(output(b"lost", ONE))
    outbox.stream()
    outbox.drop({ONE})
    commit(outbox)
    assert transactions.committed == [[b"mine", b"p"]]


def test_losing_a_partition_without_outputs_keeps_the_transaction() -> None:
    transactions = FaultyTransactions()
    outbox = Outbox(transactions)
    outbox.put(output(b"mine"))
    outbox.stream()
    outbox.drop({ONE})
    assert transactions.open == [b"mine"]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"commit": [FencedError("fenced")]}, FencedError),
        ({"commit": [UnavailableError("away")], "abort": [UnavailableError("fate unknown")]}, UnavailableError),
    ],
)
def test_what_only_a_restart_settles_is_raised(faults: dict[str, list[Exception]], error: type[Exception]) -> None:
    outbox = Outbox(FaultyTransactions(faults))
    outbox.put(output(b"1"))
    with pytest.raises(error):
        commit(outbox)
