"""The whole platform on one machine: the stack, its topics and schemas, and every service as a process of its own."""

from __future__ import annotations

import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from headgate_local.command_line import Connection, headgate, prefix_of
from headgate_local.endpoints import FILE_NAME, Endpoints
from headgate_local.folder import write_whole
from headgate_local.http_ready import http_not_ready
from headgate_local.lake import Lake
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_local.progress import PlainProgress
from headgate_local.security import Security
from headgate_local.stack import Stack
from headgate_local.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from headgate_local.progress import Progress

# a service drains for 25 s at most (ServiceSettings.drain_timeout_s) and then closes clients that may wait for brokers
STOP_TIMEOUT_S = 45.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """A service to run, ``count`` times.

    Attributes:
        name: The service's name; its environment prefix is HEADGATE_<NAME>_.
        count: How many replicas, each a process.
        environment: Added to what the platform gives it, and winning over that.
        module: What ``python -m`` runs; None: ``headgate_<name>``.
    """

    name: str
    count: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    module: str | None = None

    @property
    def command(self) -> list[str]:
        """Program and arguments of a replica."""
        return [sys.executable, "-m", self.module or f"headgate_{self.name.replace('-', '_')}"]

    def process_names(self) -> list[str]:
        """Instance names, which are the processes' names: ``writer-0``, ``writer-1``, ..."""
        return [f"{self.name}-{number}" for number in range(self.count)]


SERVICES = (
    Replicas("enricher"),
    Replicas("reviews", module="headgate_enricher.reviews"),
    Replicas("processor"),
    Replicas("writer"),
    Replicas("producer"),
)


class Platform:
    """Runs everything in ``folder``; a context manager: ready on entry, stopped on exit. Start it from the main thread.

    Attributes:
        folder: Holds endpoints.json while the platform is ready, and data/.
        stack: The stack beneath.
        processes: Every process by name: ``kafka``, ``registry``, ``bedrock-local``, ``enricher-0``, ...
        supervisor: Restarts what crashes; None before ``start``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        services: Sequence[Replicas] = SERVICES,
        brokers: int = 1,
        lake: Lake = Lake.FILES,
        security: Security = Security.PLAIN,
        progress: Progress | None = None,
        cache: Path | None = None,
    ) -> None:
        """Describe a platform; nothing happens before ``start``.

        Args:
            folder: Where everything goes.
            services: What to run; without any, the stack alone, without topics.
            brokers: As in ``Stack``.
            lake: As in ``Stack``.
            security: As in ``Stack``.
            progress: Told what happens; None prints plain lines to standard error.
            cache: As in ``Stack``.
        """
        self.folder = folder.absolute()
        self.processes: dict[str, ServiceProcess] = {}
        self.supervisor: Supervisor | None = None
        self._services = list(services)
        self._progress = PlainProgress(sys.stderr) if progress is None else progress
        names = [name for service in services for name in service.process_names()]
        self.stack = Stack(
            self.folder / "data",
            brokers=brokers,
            bedrock=True,
            lake=lake,
            security=security,
            cache=cache,
            progress=self._progress,
            reserve=names,
        )

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is; only while it runs."""
        return Endpoints(
            bootstrap_servers=self.stack.bootstrap_servers,
            registry_url=self.stack.registry_url,
            bedrock_url=self.stack.bedrock_url,
            catalog=self.stack.catalog,
            services={
                name.removesuffix("-0"): self.url(name)
                for service in self._services
                for name in service.process_names()
            },
            control_token_file=self._token_file,
        )

    def url(self, process: str) -> str:
        """The address of a service's process, such as ``enricher-0``."""
        return f"http://{HOST}:{self.stack.port(process)}"

    def start(self) -> Self:
        """Start the stack, set it up, start the services, and wait until all are ready.

        Raises:
            HeadgateError: Something did not start; everything that had is stopped again.
        """
        began = time.monotonic()
        self.stack.start()
        try:
            self._start(began)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the services, which may need the stack to finish their work, then the stack; harmless when nothing runs."""
        if self.supervisor is not None:
            (self.folder / FILE_NAME).unlink(missing_ok=True)
        stop_together(process for name, process in self.processes.items() if name not in self.stack.processes)
        if self.supervisor is not None:
            self.supervisor.stop()
        self.stack.stop()

    def admin(self, *arguments: str) -> str:
        """Run the command line ``headgate`` against this platform and return what it prints; StackError when it fails."""
        return self._headgate("admin", *arguments)

    def connection(self, principal: str | None) -> Connection:
        """How somebody reaches Kafka and the registry.

        Args:
            principal: Who it is, as in ``Stack.kafka``.
        """
        return Connection(self.stack.kafka(principal), self.stack.registry(principal))

    def _headgate(self, principal: str | None, *arguments: str) -> str:
        return headgate(self.endpoints, self.connection(principal), *arguments)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _token_file(self) -> Path:
        return self.stack.data / "control-token"

    def _start(self, began: float) -> None:
        (self.folder / FILE_NAME).unlink(missing_ok=True)  # of a run that was killed: we hold the data folder now
        self.processes.update(self.stack.processes)
        if not self._token_file.exists():
            write_whole(self._token_file, secrets.token_urlsafe(32), mode=0o600)
        if self.stack.guarded:
            self._headgate(None, "topics", "acls", "apply")
        if self._services:
            self.admin("setup")
            self._progress.say(f"topics, schemas and tables are there after {time.monotonic() - began:.1f} s")
        started = [self._launch(service, name) for service in self._services for name in service.process_names()]
        for process in started:
            process.wait_ready()
            self._progress.say(f"{process.name} is ready after {time.monotonic() - began:.1f} s")
        self.supervisor = Supervisor(list(self.processes.values()), say=self._progress.say)
        self.supervisor.start()
        self.endpoints.write(self.folder)

    def _launch(self, service: Replicas, name: str) -> ServiceProcess:
        spec = ProcessSpec(
            name,
            service.command,
            self.stack.data / "run",
            lambda: http_not_ready(f"{self.url(name)}/readyz"),
            environment=self._environment(service.name, name) | dict(service.environment),
            stop_timeout_s=STOP_TIMEOUT_S,
        )
        process = self.processes[name] = ServiceProcess(spec)
        process.start()
        return process

    def _environment(self, service: str, instance: str) -> dict[str, str]:
        settings = {
            "HTTP__HOST": HOST,
            "HTTP__PORT": str(self.stack.port(instance)),
            "HTTP__CONTROL_TOKEN_FILE": str(self._token_file),
            "INSTANCE": instance,
        }
        match service:
            case "enricher":
                # calls are signed even for the local endpoint: not with a developer's real keys
                settings |= {"BEDROCK__ACCESS_KEY_ID": "local", "BEDROCK__SECRET_ACCESS_KEY": "local"}
                settings["BEDROCK__ENDPOINT_URL"] = self.stack.bedrock_url
            case "writer":
                settings["CATALOG"] = json.dumps(self.stack.catalog)
                # a file of its own for each process: lines of several would run into each other
                lineage = {
                    "type": "file",
                    "log_file_path": str(self.folder / f"lineage-{instance}.jsonl"),
                    "append": True,
                }
                settings["LINEAGE__TRANSPORT"] = json.dumps(lineage)
        own = {f"{prefix_of(service)}{name}": value for name, value in settings.items()}
        return self.connection(service).environment(service) | own
