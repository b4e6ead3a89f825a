from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from headgate_runtime.config import KafkaSettings
from headgate_runtime.errors import (
    ConfigurationError,
    FencedError,
    HeadgateError,
    InDoubtError,
    RejectedError,
    UnavailableError,
)
from headgate_runtime.kafka import transactions
from headgate_runtime.kafka.client import ClientContext, translate
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientStub:
    """Stands in for librdkafka: each call of a name takes the next of the faults scripted for it."""

    def __init__(self, _: dict[str, Any]) -> None:
        self.faults: dict[str, list[KafkaError]] = {}
        self.always: dict[str, KafkaError] = {}
        self.calls: list[str] = []
        self.callbacks: list[Callable[..., None]] = []

    def _do(self, name: str) -> None:
        self.calls.append(name)
        fault = self.faults[name].pop(0) if self.faults.get(name) else self.always.get(name)
        if fault is not None:
            raise KafkaException(fault)

    def init_transactions(self, _: float) -> None:
        self._do("init")

    def begin_transaction(self) -> None:
        self._do("begin")

    def produce(self, *arguments: Any, **_: Any) -> None:
        self._do("produce")
        self.callbacks.append(arguments[4])

    def poll(self, _: float) -> int:
        if fault := self.faults.get("poll"):
            raise KafkaException(fault.pop(0))
        return 0

    def flush(self, _: float) -> int:
        self._do("flush")
        return 0

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self._do("offsets")

    def commit_transaction(self, _: float) -> None:
        self._do("commit")

    def abort_transaction(self, _: float) -> None:
        self._do("abort")


class Bench:
    def __init__(self, timeout_s: float = 0.05) -> None:
        self.producer = KafkaTransactionalProducer(KafkaSettings(), transactional_id="t", timeout_s=timeout_s)
        self.client: ClientStub = self.producer._producer  # type: ignore[assignment]  # it is the stub
        self.producer.begin()

    def commit(self) -> None:
        self.producer.commit({TopicPartition("t", 0): 1}, object())


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "Producer", ClientStub)


TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "slow", retriable=True)
ABORTABLE = KafkaError(KafkaError.ILLEGAL_GENERATION, "rebalanced", txn_requires_abort=True)
FENCED = KafkaError(KafkaError._FENCED, "newer epoch", fatal=True)


def test_a_client_that_says_only_that_it_is_fatal_is_asked_why() -> None:
    bench = Bench()
    fatal = KafkaError(KafkaError._FATAL, "Unable to produce message", fatal=True)
    bench.client.faults = {"produce": [fatal, fatal], "poll": [FENCED]}
    with pytest.raises(FencedError):
        bench.producer.send(OutgoingRecord("t", None, b"v"))
    with pytest.raises(RejectedError):
        bench.producer.send(OutgoingRecord("t", None, b"v"))


def test_a_commit_that_may_be_repeated_is_repeated() -> None:
    bench = Bench(timeout_s=30)
    bench.client.faults["commit"] = [TIMED_OUT, TIMED_OUT]
    bench.commit()
    assert bench.client.calls == ["init", "begin", "offsets", "commit", "commit", "commit"]


def test_a_commit_of_unknown_outcome_says_to_start_clean_and_is_never_aborted_as_if_undone() -> None:
    bench = Bench()
    bench.client.always = {"commit": TIMED_OUT, "abort": KafkaError(KafkaError._STATE, "committing")}
    with pytest.raises(InDoubtError, match="cannot tell"):
        bench.commit()
    with pytest.raises(InDoubtError):
        bench.producer.abort()


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_a_rebalance_in_the_middle_lets_the_caller_abort_and_do_it_again(step: str) -> None:
    bench = Bench()
    bench.client.faults[step] = [ABORTABLE]
    with pytest.raises(UnavailableError):
        bench.commit()
    bench.producer.abort()
    bench.producer.begin()
    bench.commit()
    assert bench.client.calls[-1] == "commit"


def test_an_outage_before_the_commit_leaves_the_transaction_to_be_aborted() -> None:
    bench = Bench()
    bench.client.always["offsets"] = TIMED_OUT
    with pytest.raises(UnavailableError):
        bench.commit()
    bench.producer.abort()
    assert bench.client.calls[-1] == "abort"


@pytest.mark.parametrize("step", ["offsets", "commit", "begin", "produce"])
def test_a_fenced_producer_says_so_at_every_step(step: str) -> None:
    bench = Bench()
    bench.client.always[step] = FENCED
    attempts: dict[str, Callable[[], None]] = {
        "begin": bench.producer.begin,
        "produce": lambda: bench.producer.send(OutgoingRecord("t", b"k", b"v")),
    }
    with pytest.raises(FencedError):
        attempts.get(step, bench.commit)()


def test_a_record_that_is_refused_shows_in_the_commit_and_nothing_is_committed() -> None:
    bench = Bench()
    bench.producer.send(OutgoingRecord("t", b"k", b"v"))

    class Message:
        def topic(self) -> str:
            return "t"

    bench.client.callbacks[0](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"), Message())
    with pytest.raises(RejectedError, match="deliver to t"):
        bench.producer.commit({}, object())
    assert "commit" not in bench.client.calls
    bench.producer.abort()
    bench.producer.begin()
    bench.producer.commit({}, object())


def test_records_arrive_before_an_abort_unless_the_transaction_is_broken_anyway() -> None:
    sound, broken = Bench(), Bench()
    sound.producer.abort()
    assert sound.client.calls[-2:] == ["flush", "abort"]
    broken.client.faults["offsets"] = [ABORTABLE]
    with pytest.raises(UnavailableError):
        broken.commit()
    broken.producer.abort()
    assert broken.client.calls[-2:] == ["offsets", "abort"]


def test_closing_aborts_what_is_open_and_only_that() -> None:
    bench = Bench()
    bench.producer.close()
    bench.producer.close()
    assert bench.client.calls.count("abort") == 1


@pytest.mark.parametrize(
    ("code", "fatal", "meaning"),
    [
        (KafkaError._TRANSPORT, False, UnavailableError),
        (KafkaError._ALL_BROKERS_DOWN, False, UnavailableError),
        (KafkaError._TIMED_OUT, False, UnavailableError),
        (KafkaError.NOT_ENOUGH_REPLICAS, False, UnavailableError),
        (KafkaError.REBALANCE_IN_PROGRESS, False, UnavailableError),
        (KafkaError.ILLEGAL_GENERATION, False, UnavailableError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False, RejectedError),
        (KafkaError.SASL_AUTHENTICATION_FAILED, False, RejectedError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, False, RejectedError),
        (KafkaError.MSG_SIZE_TOO_LARGE, False, RejectedError),
        (KafkaError._AUTO_OFFSET_RESET, False, RejectedError),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, True, RejectedError),
        (KafkaError.PRODUCER_FENCED, True, FencedError),
        (KafkaError.INVALID_PRODUCER_EPOCH, False, FencedError),
        (KafkaError.FENCED_INSTANCE_ID, True, FencedError),
    ],
)
def test_an_error_means_what_a_service_can_act_on(code: int, *, fatal: bool, meaning: type[HeadgateError]) -> None:
    assert type(translate(KafkaError(code, "why", fatal=fatal), "do it")) is meaning


@pytest.mark.parametrize("properties", [{"acks": "1"}, {"enable.idempotence": "false"}, {"no.such.thing": "1"}])
def test_a_property_that_is_unknown_or_headgates_own_is_a_configuration_error(properties: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(properties))):
        KafkaProducer(KafkaSettings(properties=properties))


def test_a_property_that_is_only_preferred_may_be_set() -> None:
    KafkaProducer(KafkaSettings(properties={"linger.ms": "50", "acks": "all"})).close()


def test_fencing_hidden_in_a_fatal_error_is_found() -> None:
    quoted = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()
    assert type(translate(KafkaError(KafkaError._FATAL, f"Fatal error: {quoted}"), "consume")) is FencedError
    assert type(translate(KafkaError(KafkaError._FATAL, "Fatal error: other"), "consume")) is RejectedError


def test_a_wrong_password_that_shows_as_a_time_out_is_named() -> None:
    context = ClientContext(KafkaSettings())
    context._faults.note(KafkaError(KafkaError._AUTHENTICATION, "SASL authentication failed"))
    error = context.translate(KafkaError(KafkaError._TIMED_OUT, "timed out"), "list topics")
    assert isinstance(error, RejectedError)
    assert "SASL authentication failed" in str(error)
