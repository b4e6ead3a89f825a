"""The embedded stack: Kafka, the schema registry, optionally local Bedrock, and a lake, in one data folder."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from headgate_local import kafka, registry, seaweedfs
from headgate_local.access import GuardedAccess, OpenAccess, certified_port
from headgate_local.config import LocalSettings
from headgate_local.folder import FolderLock, Memory, StackError
from headgate_local.http_ready import http_not_ready
from headgate_local.identity import clean_leftovers
from headgate_local.installation import install
from headgate_local.lake import Lake, files_catalog
from headgate_local.ports import HOST, choose_ports
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_local.progress import PlainProgress
from headgate_local.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from headgate_runtime.config import KafkaSettings, RegistrySettings

    from headgate_local.access import Access
    from headgate_local.installation import Installation
    from headgate_local.progress import Progress

BEDROCK_PORT = "bedrock-local"


class Stack:
    """The stack of one data folder; data and ports are kept between runs. A context manager: starts on entry, stops on exit.

    Use one instance for one run, and start it from a thread that outlives it (see ``ServiceProcess``).

    Attributes:
        data: The data folder, absolute.
        processes: What runs, by name, in the order of their start: ``seaweedfs``, ``registry``, ``kafka`` (and
            ``kafka-2``, ...), ``bedrock-local``.
    """

    def __init__(
        self,
        data: Path,
        *,
        brokers: int = 1,
        registry: bool = True,
        bedrock: bool = False,
        lake: Lake = Lake.FILES,
        security: Security = Security.PLAIN,
        heap: str = "512m",
        cache: Path | None = None,
        progress: Progress | None = None,
        reserve: Iterable[str] = (),
    ) -> None:
        """Describe a stack; nothing happens before ``start``.

        Args:
            data: Folder for everything the stack writes; locked while it runs.
            brokers: Kafka's brokers; 3 and more replicate every topic three times, 0 runs no Kafka. A folder's number is
                its first run's.
            registry: Whether to run the schema registry.
            bedrock: Whether to run the local Bedrock endpoint.
            lake: Where tables are.
            security: Who may connect to Kafka and the registry. A folder's is its first run's.
            heap: A broker's maximal heap, in the JVM's notation.
            cache: Folder of the shared downloads; None takes the user's.
            progress: Told what happens; None prints plain lines to standard error.
            reserve: Further names to remember a free port for; see ``port``.
        """
        self.data = data.absolute()
        self.processes: dict[str, ServiceProcess] = {}
        self._brokers, self._with_registry, self._with_bedrock, self._lake = brokers, registry, bedrock, lake
        self._heap = heap
        self._cache = LocalSettings().cache if cache is None else cache.absolute()
        self._progress = PlainProgress(sys.stderr) if progress is None else progress
        self._reserve = tuple(reserve)
        self._security = security
        self._access: Access = OpenAccess()
        self._lock = FolderLock(self.data)
        self._memory = Memory()
        self._kafka: list[kafka.KafkaServer] = []

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's addresses, with commas between."""
        return ",".join(f"{HOST}:{self.port(kafka.broker_name(node))}" for node in self._nodes)

    @property
    def registry_url(self) -> str:
        """The registry's Confluent API."""
        return self.registry(None).url

    @property
    def guarded(self) -> bool:
        """Whether nobody may do anything that no rule allows."""
        return self._security is Security.SCRAM

    def kafka(self, principal: str | None) -> KafkaSettings:
        """How a service reaches Kafka, by its name in the contracts; None is who may do everything."""
        return self._access.kafka(self.bootstrap_servers, principal)

    def certified_kafka(self, principal: str) -> KafkaSettings:
        """How a service reaches Kafka by a certificate; StackError where it is open to anybody."""
        if not isinstance(self._access, GuardedAccess):
            raise StackError("this stack knows no certificates: give it Security.SCRAM")
        names = [certified_port(kafka.broker_name(node)) for node in self._nodes]
        return self._access.certified(",".join(f"{HOST}:{self.port(name)}" for name in names), principal)

    def registry(self, principal: str | None) -> RegistrySettings:
        """How a service reaches the registry, by its name in the contracts; None is who may do everything."""
        return self._access.registry(self.port("registry"), registry.API_PATH, principal)

    @property
    def bedrock_url(self) -> str:
        """The local Bedrock endpoint."""
        return f"http://{HOST}:{self.port(BEDROCK_PORT)}"

    @property
    def catalog(self) -> dict[str, str]:
        """Properties of the Iceberg catalog, for ``pyiceberg.catalog.load_catalog(**catalog)``."""
        if self._lake is Lake.FILES:
            return files_catalog(self.data)
        server = seaweedfs.SeaweedServer(self.data, self._memory.ports)
        return seaweedfs.catalog(server.store_url, server.catalog_url)

    def port(self, name: str) -> int:
        """The port of a part that runs, or of a reserved name; StackError for another."""
        try:
            return self._memory.ports[name]
        except KeyError:
            raise StackError(f"{name} has no port: the stack does not run, or runs without it") from None

    def start(self) -> Self:
        """Start everything and wait until it can be used; ends leftovers of a killed run first.

        Raises:
            InUseError: Another process runs a stack in this data folder.
            StackError: A part did not start; the text has the tail of its log.
            UnavailableError: Something is missing from the cache and could not be downloaded.
        """
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything; harmless when it does not run."""
        stop_together(self.processes.values())
        for server in self._kafka:
            server.keep_archive()
        self._lock.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        began = time.monotonic()
        run = self.data / "run"
        for name in clean_leftovers(run):
            self._progress.say(f"ended {name}, left by a run that was killed")
        self._remember()
        if self._lake is Lake.SEAWEEDFS:
            store = seaweedfs.SeaweedServer(self.data, self._memory.ports)
            store.prepare()
            self._launch(store.spec(run))
        else:
            (self.data / "iceberg" / "warehouse").mkdir(parents=True, exist_ok=True)
        if self._brokers or self._with_registry:
            self._start_jvms(run, install(self._cache, self._progress))
        if self._with_bedrock:
            self._launch(self._bedrock(run))
        for process in self.processes.values():
            process.wait_ready()
            self._progress.say(f"{process.name} is ready after {time.monotonic() - began:.1f} s")

    def _start_jvms(self, run: Path, installation: Installation) -> None:
        if self._with_registry:  # first, because it takes longest
            server = registry.RegistryServer(self.data, installation, self._memory.ports, self._access)
            server.prepare()
            self._launch(server.spec(run))
        for node in self._nodes:
            cluster = kafka.Cluster(self._memory.cluster_id, self._brokers, self._memory.ports, self._access)
            broker = kafka.KafkaServer(self.data, installation, cluster, node, heap=self._heap)
            self._kafka.append(broker)
            broker.prepare()
            self._launch(broker.spec(run))

    def _launch(self, spec: ProcessSpec) -> None:
        self.processes[spec.name] = ServiceProcess(spec)
        self.processes[spec.name].start()

    @property
    def _nodes(self) -> range:
        return range(1, self._brokers + 1)

    def _remember(self) -> None:
        fresh = not Memory.kept(self.data)
        self._memory = Memory.load(self.data)
        if not fresh and self._memory.security != self._security:
            raise StackError(
                f"{self.data} was made with security {self._memory.security}: go on with that, or give another folder"
            )
        if self._security is Security.SCRAM:
            self._access = GuardedAccess(self.data / "secrets")
        names = [name for node in self._nodes for name in kafka.port_names(node)]
        names += [name for node in self._nodes for name in self._access.ports(kafka.broker_name(node))]
        names += self._reserve
        names += registry.PORTS if self._with_registry else ()
        names += [BEDROCK_PORT] if self._with_bedrock else []
        names += seaweedfs.PORTS if self._lake is Lake.SEAWEEDFS else ()
        saved = self._memory.ports
        ports = choose_ports(names, saved)
        self._memory = Memory(
            cluster_id=self._memory.cluster_id, ports=saved | ports, lake=self._lake, security=self._security
        )
        self._memory.save(self.data)
        self._memory.ports = ports

    def _bedrock(self, folder: Path) -> ProcessSpec:
        port = self.port(BEDROCK_PORT)
        return ProcessSpec(
            BEDROCK_PORT,
            [sys.executable, "-m", "headgate_bedrock_local"],
            folder,
            lambda: http_not_ready(f"{self.bedrock_url}/healthz"),
            environment={"HEADGATE_BEDROCK_LOCAL_HOST": HOST, "HEADGATE_BEDROCK_LOCAL_PORT": str(port)},
        )
