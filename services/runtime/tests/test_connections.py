"""What settings of a connection mean: to librdkafka, to a person who gets them wrong, and when a secret is replaced."""

from __future__ import annotations

import base64
import gc
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from confluent_kafka import KafkaError
from headgate_runtime.config import HttpSettings, KafkaSettings, RegistrySettings, ServiceSettings, as_environment
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.msk import MskTokens
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.rotation import PasswordRotation
from headgate_runtime.kafka.security import security_properties
from headgate_runtime.masking import masked
from headgate_runtime.testing import eventually
from headgate_runtime.testing.pod_identity import PodIdentity
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hidden-from-everybody"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def scram(secret: Path, **settings: Any) -> KafkaSettings:
    return KafkaSettings(security="scram", username="writer", password_file=secret, **settings)


def test_each_kind_of_security_is_what_the_library_calls_it(secret: Path) -> None:
    tls = KafkaSettings(security="tls", ca_file=secret, certificate_file=secret, key_file=secret)
    assert security_properties(KafkaSettings()) == {}
    assert security_properties(tls) == {
        "security.protocol": "SSL",
        "ssl.ca.location": str(secret),
        "ssl.certificate.location": str(secret),
        "ssl.key.location": str(secret),
    }
    assert security_properties(scram(secret, ca_file=secret)) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "ssl.ca.location": str(secret),
        "sasl.username": "writer",
        "sasl.password": SECRET,
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"security": "scram"}, "set KAFKA__PASSWORD_FILE and KAFKA__USERNAME as well"),
        ({"security": "iam"}, "set KAFKA__REGION as well"),
        ({"username": "u", "password_file": "/p"}, "no use for KAFKA__PASSWORD_FILE and KAFKA__USERNAME"),
        ({"ca_file": "/ca"}, "set KAFKA__SECURITY to the one you mean"),
        ({"security": "iam", "region": "eu-west-1", "key_file": "/k"}, "no use for KAFKA__KEY_FILE"),
        ({"security": "tls", "certificate_file": "/c"}, "both KAFKA__CERTIFICATE_FILE and KAFKA__KEY_FILE"),
        ({"security": "kerberos"}, "'plaintext', 'tls', 'scram' or 'iam'"),
    ],
)
def test_settings_that_do_not_go_together_are_told_with_what_to_set(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        KafkaSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"username": "u"}, "both REGISTRY__USERNAME and REGISTRY__PASSWORD_FILE"),
        ({"ca_file": "/ca", "url": "http://registry"}, "set REGISTRY__URL right"),
    ],
)
def test_settings_of_the_registry_that_do_not_go_together_are_told(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RegistrySettings.model_validate(settings)


@pytest.mark.parametrize("name", ["ca_file", "password_file"])
def test_a_file_that_is_not_there_is_told_by_the_name_of_its_setting(secret: Path, name: str) -> None:
    settings = scram(secret).model_copy(update={name: secret.with_name("absent")})
    with pytest.raises(ConfigurationError, match=rf"KAFKA__{name.upper()}: .*absent cannot be read: No such file"):
        KafkaProducer(settings)


@pytest.mark.parametrize(("content", "says"), [(b" \n", "is empty"), (b"\xff\xfe", "is no text")])
def test_a_password_that_is_none_is_told_without_its_content(secret: Path, content: bytes, says: str) -> None:
    secret.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says) as raised:
        KafkaProducer(scram(secret))
    assert "xff" not in str(raised.value)


def test_certificates_that_are_none_are_a_configuration_error(secret: Path) -> None:
    with pytest.raises(ConfigurationError, match="ssl"):
        KafkaProducer(KafkaSettings(security="tls", ca_file=secret))


def test_a_property_of_the_deployment_wins(secret: Path) -> None:
    # Confluent Cloud takes the same files with another mechanism
    KafkaProducer(scram(secret, properties={"sasl.mechanism": "PLAIN", "sasl.password": "another"})).close()
    with pytest.raises(ConfigurationError, match="mechanism: NONE"):
        KafkaProducer(scram(secret, properties={"sasl.mechanism": "NONE"}))


def test_no_secret_is_shown_or_logged(secret: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = RegistrySettings(url="https://r:hidden@r", username="writer", password_file=secret)
    settings = ServiceSettings(
        kafka=scram(secret, properties={"sasl.oauthbearer.client.secret": SECRET, "ssl.key.password": SECRET}),
        registry=registry,
        http=HttpSettings(control_token_file=secret),
    )
    shown = masked(settings)
    assert shown["kafka"]["password_file"] == shown["registry"]["password_file"] == str(secret)
    assert "hidden" not in str(shown)
    with caplog.at_level("DEBUG"):
        KafkaProducer(scram(secret, bootstrap_servers="127.0.0.1:1")).close()
    assert SECRET not in caplog.text


class Client:
    """Takes note of the credentials it gets."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []

    def set_sasl_credentials(self, username: str, password: str, /) -> None:
        self.given.append((username, password))


def test_a_password_that_is_replaced_reaches_the_client_once(secret: Path) -> None:
    client, changes = Client(), threading.Event()
    rotation = PasswordRotation(scram(secret), client, SECRET, changes.set, look_s=0.01)
    secret.write_text("another")
    assert changes.wait(10)
    secret.unlink()
    rotation.look()
    assert client.given == [("writer", "another")]


def test_nobody_looks_at_the_file_of_a_client_that_is_gone(secret: Path) -> None:
    def looking() -> int:
        return sum(thread.name == "kafka-password" for thread in threading.enumerate())

    gc.collect()
    before = looking()
    producer = KafkaProducer(scram(secret, bootstrap_servers="127.0.0.1:1"))
    assert looking() == before + 1
    del producer
    eventually(lambda: looking() == before)


def test_a_refusal_explains_the_time_outs_close_to_it_until_the_credentials_change(secret: Path) -> None:
    context = ClientContext(scram(secret))
    timed_out = KafkaError(KafkaError._TIMED_OUT, "slow")
    assert type(context.translate(timed_out, "list topics")) is UnavailableError
    context._faults.note(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
    error = context.translate(timed_out, "list topics")
    assert type(error) is RejectedError
    assert "check KAFKA__USERNAME and what is in KAFKA__PASSWORD_FILE" in str(error)
    context._faults.forget()
    assert type(context.translate(timed_out, "list topics")) is UnavailableError


@pytest.mark.parametrize(
    ("settings", "code", "text", "says"),
    [
        ({}, KafkaError._AUTHENTICATION, "", "set KAFKA__SECURITY"),
        ({"security": "iam", "region": "r"}, KafkaError.SASL_AUTHENTICATION_FAILED, "", "kafka-cluster:Connect"),
        ({"security": "tls"}, KafkaError._SSL, "certificate verify failed", "check KAFKA__CA_FILE"),
        ({"security": "tls"}, KafkaError._AUTHENTICATION, "mechanism handshake failed", "set KAFKA__SECURITY"),
        ({}, KafkaError.TOPIC_AUTHORIZATION_FAILED, "", "headgate topics acls diff"),
    ],
)
def test_a_refusal_says_what_to_look_at(settings: dict[str, str], code: int, text: str, says: str) -> None:
    context = ClientContext(KafkaSettings.model_validate(settings))
    context._faults.note(KafkaError(code, text))
    refusal = context.refusal()
    assert refusal is not None
    assert says in refusal


def test_an_outage_is_no_refusal() -> None:
    context = ClientContext(KafkaSettings())
    context._faults.note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert context.refusal() is None


def test_settings_reach_another_process_whole_and_without_what_stands_by_default(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Settings(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="HEADGATE_X_", env_nested_delimiter="__")

    kafka = scram(secret, bootstrap_servers="b:1", properties={"linger.ms": "7"})
    variables = as_environment(kafka, "HEADGATE_X_KAFKA__")
    assert "HEADGATE_X_KAFKA__REGION" not in variables
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings().kafka == kafka


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodIdentity]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    token_file = tmp_path / "eks-pod-identity-token"
    token_file.write_text("first")
    with PodIdentity(token_file) as identity:
        for name, value in identity.environment().items():
            monkeypatch.setenv(name, value)
        yield identity


def signed_url(token: str) -> dict[str, list[str]]:
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    return {"host": [url.netloc], **parse_qs(url.query)}


def test_a_token_for_msk_is_signed_with_the_pods_credentials(pod: PodIdentity) -> None:
    token, ends_s = MskTokens("eu-west-1").current()
    said = signed_url(token)
    assert said["host"] == ["kafka.eu-west-1.amazonaws.com"]
    assert said["Action"] == ["kafka-cluster:Connect"]
    assert said["X-Amz-Security-Token"] == [f"session-{pod.given}"]
    assert said["X-Amz-Credential"][0].startswith(f"key-{pod.given}/")
    assert ends_s > 0


def test_credentials_that_last_are_asked_for_once_and_others_are_renewed_ahead_of_their_end(
    pod: PodIdentity, tmp_path: Path
) -> None:
    lasting = MskTokens("eu-west-1")
    for _ in range(3):
        lasting.current()
    assert pod.given == 1
    pod.lifetime = timedelta(minutes=9)  # less than botocore lets be left
    passing = MskTokens("eu-west-1")
    first = signed_url(passing.current()[0])["X-Amz-Credential"]
    (tmp_path / "eks-pod-identity-token").write_text("rotated")
    second = signed_url(passing.current()[0])["X-Amz-Credential"]
    assert first != second


def test_without_credentials_the_start_says_what_to_give(pod: PodIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match="give the pod an identity"):
        MskTokens("eu-west-1").current()
    assert pod.given == 0


def test_an_agent_that_does_not_answer_is_an_outage(pod: PodIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises(UnavailableError, match="no AWS credentials for Kafka now"):
        MskTokens("eu-west-1")("")
    assert pod.given == 0
