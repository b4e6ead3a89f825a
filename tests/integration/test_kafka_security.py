"""A broker and a registry that let in only who proves who they are, and allow only what the contracts say."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from headgate_admin.main import make_app
from headgate_local.security import Security
from headgate_local.stack import Stack
from headgate_runtime.config import KafkaSettings, as_environment
from headgate_runtime.errors import HeadgateError, RejectedError
from headgate_runtime.kafka.acls import AclRule, KafkaAcls
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.msk import MskTokens
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_runtime.testing.pod_identity import PodIdentity
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = json.dumps({"type": "record", "name": "Thing", "fields": [{"name": "id", "type": "string"}]})
EVENT = OutgoingRecord("raw-events", b"key", b"value")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("secured"), security=Security.SCRAM) as secured:
        headgate(secured, None, "topics", "acls", "apply")
        headgate(secured, "admin", "topics", "apply")
        yield secured


def headgate(stack: Stack, principal: str | None, *arguments: str) -> dict[str, Any]:
    """Run the command line as a principal; what it prints, with its exit code."""
    variables = as_environment(stack.kafka(principal), "HEADGATE_ADMIN_KAFKA__")
    result = CliRunner().invoke(make_app(), [*arguments, "--json"], env=variables)
    return {"code": result.exit_code, **json.loads(result.stdout)}


def send(producer: KafkaProducer, record: OutgoingRecord = EVENT) -> HeadgateError | None:
    """Send a record; the error of its delivery."""
    reports: list[HeadgateError | None] = []
    producer.send(record, reports.append)
    producer.flush(30)
    return reports[0]


def read(settings: KafkaSettings, group: str, topic: str = "raw-events") -> bytes | None:
    """The first record's value, read as a member of a group."""
    consumer = KafkaConsumer(settings, group_id=group)
    consumer.subscribe(
        [topic], on_assign=lambda new: dict.fromkeys(new, 0), on_revoke=lambda _: None, on_lost=lambda _: None
    )
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if records := consumer.poll(10, 0.2):
                return records[0].value
    finally:
        consumer.close()
    return None


def test_services_write_and_read_by_password_and_by_certificate(stack: Stack) -> None:
    assert send(KafkaProducer(stack.kafka("producer"))) is None
    assert send(KafkaProducer(stack.certified_kafka("producer"))) is None
    assert read(stack.kafka("enricher"), "enricher") == b"value"
    assert read(stack.certified_kafka("enricher"), "enricher-shadow") == b"value"


def test_a_transaction_needs_no_right_but_its_own_transactional_id(stack: Stack) -> None:
    for settings in (stack.kafka("enricher"), stack.certified_kafka("enricher")):
        transactions = KafkaTransactionalProducer(settings, transactional_id="enricher-enricher-0")
        transactions.begin()
        transactions.send(OutgoingRecord("enriched-events", b"key", b"value"))
        transactions.commit({}, None)
        transactions.close()
    with pytest.raises(RejectedError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        KafkaTransactionalProducer(stack.kafka("enricher"), transactional_id="reviews-reviews-0")


def test_tls_without_a_certificate_is_encrypted_and_nobody(stack: Stack) -> None:
    unnamed = stack.certified_kafka("producer").model_copy(update={"certificate_file": None, "key_file": None})
    assert KafkaAdmin(unnamed).topics() == {}
    with pytest.raises(RejectedError, match=r"AUTHORIZATION_FAILED.*headgate topics acls diff"):
        KafkaTransactionalProducer(unnamed, transactional_id="producer-0")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"username": "headgate-stranger"}, "check KAFKA__USERNAME and what is in KAFKA__PASSWORD_FILE"),
        ({"ca_file": None}, "check KAFKA__CA_FILE"),
    ],
)
def test_a_connection_that_is_refused_is_told_at_once_with_the_setting(
    stack: Stack, changed: dict[str, Any], says: str
) -> None:
    settings = stack.kafka("writer").model_copy(update=changed)
    began = time.monotonic()
    with pytest.raises(RejectedError, match=says) as raised:
        KafkaAdmin(settings).topics()
    assert time.monotonic() - began < 14  # a broker that is away is waited for longer
    assert settings.password_file is not None
    assert settings.password_file.read_text() not in str(raised.value)


class IdleWorker:
    """Takes nothing, because nothing comes."""

    def congested(self) -> bool:
        return False

    def busy(self) -> bool:
        return False

    def tick(self, *, draining: bool) -> None:
        """Has nothing to do."""

    def close(self) -> None:
        """Has nothing to close."""


def test_a_service_that_is_refused_runs_on_is_not_ready_and_says_why(stack: Stack) -> None:
    settings = stack.kafka("writer").model_copy(update={"username": "headgate-stranger"})
    consumer = KafkaConsumer(settings, group_id="writer")
    loop = Loop(consumer, IdleWorker(), topics=["raw-events"], drain_timeout_s=1, metrics=Metrics())  # type: ignore[arg-type]  # it gets nothing
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        eventually(lambda: "KAFKA__PASSWORD_FILE" in (loop.snapshot().refusal or ""), timeout_s=30)
        assert not loop.snapshot().joined
        assert thread.is_alive()
    finally:
        loop.stop()
        thread.join(30)


def test_services_look_schemas_up_and_only_the_command_line_registers_them(stack: Stack) -> None:
    schema_id = ConfluentRegistry(stack.registry("admin")).register("things-value", SCHEMA)
    writer = ConfluentRegistry(stack.registry("writer"))
    assert writer.schema(schema_id)["name"] == "Thing"
    with pytest.raises(RejectedError, match=r"403.*REGISTRY__USERNAME"):
        writer.register("other-value", SCHEMA)
    nobody = stack.registry("writer").model_copy(update={"username": None, "password_file": None})
    with pytest.raises(RejectedError, match=r"401.*REGISTRY__PASSWORD_FILE"):
        ConfluentRegistry(nobody).versions("things-value")
    distrusting = stack.registry("writer").model_copy(update={"ca_file": None})
    with pytest.raises(RejectedError, match="set REGISTRY__CA_FILE"):
        ConfluentRegistry(distrusting).versions("things-value")


def test_rules_are_made_once_and_what_is_too_much_is_taken_back(stack: Stack) -> None:
    assert headgate(stack, "admin", "topics", "acls", "diff") == {"code": 0, "applied": False, "changes": []}
    cluster = KafkaAcls(stack.kafka("admin"))
    excess = AclRule("User:headgate-writer", "topic", "raw-events", "literal", "READ")
    others = AclRule("User:somebody", "topic", "raw-events", "literal", "READ")
    cluster.add([excess, others])
    found = headgate(stack, "admin", "topics", "acls", "diff")
    assert (found["code"], [change["action"] for change in found["changes"]]) == (1, ["take back"])
    assert headgate(stack, "admin", "topics", "acls", "apply")["code"] == 0
    assert cluster.rules([excess.principal, others.principal]) >= {others}
    assert excess not in cluster.rules([excess.principal])
    with pytest.raises(RejectedError, match="CLUSTER_AUTHORIZATION_FAILED"):
        KafkaAcls(stack.kafka("writer")).add([excess])


def test_a_password_that_is_replaced_keeps_a_running_client_connected_over_the_next_restart_of_the_broker(
    stack: Stack,
) -> None:
    settings = stack.kafka("producer")
    assert settings.password_file is not None
    producer = KafkaProducer(settings, properties={"reconnect.backoff.max.ms": "500"})
    assert send(producer) is None
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change = UserScramCredentialUpsertion("headgate-producer", scram, b"another-password")
    client = ClientContext(stack.kafka(None)).make(AdminClient, {})
    for future in client.alter_user_scram_credentials([change]).values():
        future.result(timeout=30)
    settings.password_file.write_text("another-password")
    assert send(producer) is None  # the connection that is open stays
    broker = stack.processes["kafka"]
    broker.kill9()
    broker.start()
    broker.wait_ready()
    assert send(producer) is None


def test_a_token_for_msk_is_renewed_ahead_of_its_end_while_nobody_polls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, float]] = []
    current = MskTokens.current

    def noted(tokens: MskTokens) -> tuple[str, float]:
        given.append(current(tokens))
        return given[-1]

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(MskTokens, "current", noted)
    monkeypatch.setattr(MSKAuthTokenProvider, "DEFAULT_TOKEN_EXPIRY_SECONDS", 2)
    token_file = tmp_path / "token"
    token_file.write_text("first")
    with PodIdentity(token_file) as pod:
        for name, value in pod.environment().items():
            monkeypatch.setenv(name, value)
        settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", security="iam", region="eu-west-1")
        producer = KafkaProducer(settings)
        first_end = given[0][1]
        eventually(lambda: given[-1][1] > first_end + 2, timeout_s=20)
        assert pod.given == 1
        del producer
