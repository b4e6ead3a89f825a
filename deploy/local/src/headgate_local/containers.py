"""The brokers as containers, for test sessions on machines where Docker works."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import docker  # type: ignore[import-untyped]  # ships no types
from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]  # ships no types
from headgate_runtime.config import KafkaSettings, RegistrySettings
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from headgate_local.folder import StackError
from headgate_local.kafka import kafka_not_ready
from headgate_local.lock import KAFKA_VERSION, REGISTRY_VERSION
from headgate_local.ports import HOST, choose_ports
from headgate_local.registry import API_PATH, registry_not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
REGISTRY_IMAGE = f"apicurio/apicurio-registry:{REGISTRY_VERSION}"
DAEMON_TIMEOUT_S = 5
PULL_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 90.0


def why_not() -> str | None:
    """Why Docker cannot run the brokers here, None when it can: it answers, and both images are there or come quickly."""
    try:
        client = docker.from_env(timeout=DAEMON_TIMEOUT_S)
        client.ping()
    except (DockerException, OSError):
        return "Docker does not answer"
    deadline = time.monotonic() + PULL_TIMEOUT_S
    try:
        for image in needed_images():
            if not _present(client, image, deadline):
                return f"{image} is not here and does not come within {PULL_TIMEOUT_S:.0f} s"
    except (DockerException, OSError) as error:
        return f"Docker cannot get the images: {error}"
    finally:
        client.close()
    return None


@contextmanager
def running() -> Iterator[tuple[str, str]]:
    """Run Kafka and the registry; gives bootstrap servers and registry URL, removes the containers at the end.

    Raises:
        StackError: A container started but could not be used in time.
    """
    ports = choose_ports(["kafka", "registry"], {})
    bootstrap_servers = f"{HOST}:{ports['kafka']}"
    registry_url = f"http://{HOST}:{ports['registry']}{API_PATH}"
    with _kafka(ports["kafka"]), _registry(ports["registry"]):
        _wait(lambda: kafka_not_ready(KafkaSettings(bootstrap_servers=bootstrap_servers)))
        _wait(lambda: registry_not_ready(RegistrySettings(url=registry_url)))
        yield bootstrap_servers, registry_url


def needed_images() -> tuple[str, ...]:
    """The brokers' images, and unless it is switched off (TESTCONTAINERS_RYUK_DISABLED) the one that cleans up after us."""
    reaper = () if testcontainers_config.ryuk_disabled else (testcontainers_config.ryuk_image,)
    return (*reaper, KAFKA_IMAGE, REGISTRY_IMAGE)


def _present(client: docker.DockerClient, image: str, deadline: float) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        for _ in client.api.pull(image, stream=True, decode=True):
            if time.monotonic() > deadline:
                return False
        client.images.get(image)
    return True


def _kafka(port: int) -> DockerContainer:
    # A broker tells its clients where it is: that has to be the port of this machine, where it cannot reach itself. So it
    # has an address of its own for that, without which no transaction ends.
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,INTERNAL://localhost:19092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{port},INTERNAL://localhost:19092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    return _bound(DockerContainer(KAFKA_IMAGE, env=settings), 9092, port)


def _registry(port: int) -> DockerContainer:
    return _bound(DockerContainer(REGISTRY_IMAGE), 8080, port)


def _bound(container: DockerContainer, inner: int, port: int) -> DockerContainer:
    # with_bind_ports would listen on every interface of this machine
    container.ports[str(inner)] = (HOST, port)  # type: ignore[assignment]  # Docker's own form, unknown to the annotation
    return container


def _wait(not_ready: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while (why := not_ready()) is not None:
        if time.monotonic() > deadline:
            raise StackError(f"a container is not ready in time: {why}")
        time.sleep(0.1)
