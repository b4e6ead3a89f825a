"""Kafka brokers that are their own controllers (KRaft), set for quick starts and quick recovery on a laptop."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.leaders import leaderless_partitions

from headgate_local import jvm
from headgate_local.folder import write_whole
from headgate_local.ports import HOST, answers
from headgate_local.processes import ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headgate_runtime.config import KafkaSettings

    from headgate_local.access import Access
    from headgate_local.installation import Installation

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # small internal topics; their partition counts are fixed when first used
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    # a broker killed and started again waits for its old session to end: 12 s by default, 3 s so
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
    # consumers join and rebalance within a second or two
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    # by default the cleaner alone takes 128 MB of the heap
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


_REPLICATED = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")
REPLICAS, REPLICAS_IN_SYNC = 3, 2


def broker_name(node: int) -> str:
    """Name of a broker's process and port: ``kafka``, ``kafka-2``, ``kafka-3``, ..."""
    return "kafka" if node == 1 else f"kafka-{node}"


def port_names(node: int) -> tuple[str, str]:
    """Names of a broker's ports: for clients, and for controllers."""
    return broker_name(node), broker_name(node).replace("kafka", "controller")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the brokers have in common.

    Attributes:
        cluster_id: The cluster's id.
        brokers: How many there are.
        ports: Ports by name.
        access: How they are reached.
    """

    cluster_id: str
    brokers: int
    ports: Mapping[str, int]
    access: Access

    def settings(self) -> dict[str, str]:
        """Voters and replication: three replicas, two of them in sync, where there are so many brokers."""
        # static voters, unlike a dynamic quorum, may come back on other ports
        nodes = range(1, self.brokers + 1)
        voters = ",".join(f"{node}@{HOST}:{self.ports[port_names(node)[1]]}" for node in nodes)
        replicas, in_sync = (REPLICAS, REPLICAS_IN_SYNC) if self.brokers >= REPLICAS else (1, 1)
        return {
            "controller.quorum.voters": voters,
            **dict.fromkeys(_REPLICATED, str(replicas)),
            **dict.fromkeys(_IN_SYNC, str(in_sync)),
        }


class KafkaServer:
    """A broker of one data folder: its configuration, its command, its readiness."""

    def __init__(self, data: Path, installation: Installation, cluster: Cluster, node: int, *, heap: str) -> None:
        self._installation = installation
        self._cluster = cluster
        self._node = node
        self._name = broker_name(node)
        self._folder = data / self._name
        self._properties = data / f"{self._name}.properties"
        self._log4j = data / "kafka.log4j2.properties"
        self._heap = heap
        self._port = cluster.ports[self._name]
        archive = installation.kafka_archive
        self._trained = archive.with_name(f"{archive.name}.{node}.{os.getpid()}.part")
        self._address = f"{HOST}:{self._port}"

    def prepare(self) -> None:
        """Write the configuration, and format the storage where that was not done yet."""
        settings = {
            **SETTINGS,
            **self._cluster.settings(),
            **self._cluster.access.broker(self._cluster.ports, self._name),
            "node.id": str(self._node),
            "log.dirs": str(self._folder),
        }
        write_whole(self._properties, "".join(f"{key}={value}\n" for key, value in settings.items()), mode=0o600)
        with as_file(files("headgate_local").joinpath("kafka.log4j2.properties")) as log4j:
            self._log4j.write_bytes(log4j.read_bytes())
        if not (self._folder / "meta.properties").exists():
            cluster_id = self._cluster.cluster_id
            format_storage = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties)]
            format_storage += self._cluster.access.format_arguments()
            jvm.run_java([*self._flags(), *format_storage], "format Kafka's storage")

    def spec(self, folder: Path) -> ProcessSpec:
        """The broker's process; its first clean stop writes the class-data archive later starts use."""
        train = [] if self._installation.kafka_archive.exists() else [f"-XX:ArchiveClassesAtExit={self._trained}"]
        command = [jvm.java(), *jvm.COMMON_FLAGS, *train, *self._flags(), "kafka.Kafka", str(self._properties)]
        return ProcessSpec(self._name, command, folder, self._not_ready, death_signal=signal.SIGTERM)

    def keep_archive(self) -> None:
        """Give the archive a stopped broker has written its name."""
        if self._trained.exists():
            self._trained.replace(self._installation.kafka_archive)

    def _flags(self) -> list[str]:
        trained = self._installation.kafka_archive
        archive = trained if trained.exists() else self._installation.base_archive
        log4j = f"-Dlog4j2.configurationFile={self._log4j}"
        return [f"-Xmx{self._heap}", f"-XX:SharedArchiveFile={archive}", log4j, "-cp", self._installation.class_path]

    def _not_ready(self) -> str | None:
        # librdkafka waits longer and longer between its attempts to connect: ask it only when somebody listens
        if not answers(self._port):
            return f"nothing listens on {self._port}"
        return kafka_not_ready(self._cluster.access.kafka(self._address, None))


def kafka_not_ready(settings: KafkaSettings) -> str | None:
    """Why the brokers cannot be used yet, None when every partition has a leader."""
    try:
        waiting = leaderless_partitions(settings)
    except UnavailableError as error:
        return str(error)
    return f"{len(waiting)} partitions have no leader" if waiting else None
