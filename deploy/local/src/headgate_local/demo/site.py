"""Where a demo runs: on a platform it starts for itself, or on one that is there already."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

import httpx
from headgate_runtime.config import KafkaSettings, RegistrySettings

from headgate_local.command_line import Connection, headgate
from headgate_local.demo.verify import read_topic
from headgate_local.folder import LOCK_NAME, FolderLock, StackError
from headgate_local.http_ready import http_not_ready
from headgate_local.identity import clean_leftovers
from headgate_local.lake import Lake
from headgate_local.platform import SERVICES, Platform
from headgate_local.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from headgate_local.endpoints import Endpoints
    from headgate_local.processes import ServiceProcess
    from headgate_local.progress import Progress

FLOW = ("producer", "enricher", "reviews", "processor", "writer")
# An hour of events comes in seconds: one that waits for a model is many minutes behind the others when it is decided.
UNHURRIED = {"HEADGATE_PROCESSOR_OUT_OF_ORDERNESS_S": "1800"}
WAIT_S = 60.0
LOOK_S = 0.6  # longer than services take to see anew what they do
HTTP_TIMEOUT_S = 5.0


class Site(Protocol):
    """A platform as a demo sees it: ready on entry, left as it was found on exit."""

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is."""

    def connection(self, principal: str) -> Connection:
        """How a service reaches Kafka and the registry, by its name in the contracts."""

    def admin(self, *arguments: str) -> str:
        """Run the command line ``headgate`` and return what it prints; StackError when it fails."""

    def wait_ready(self, service: str) -> None:
        """Wait until a service is at work; StackError where it is not in time."""

    def victims(self, names: Sequence[str]) -> list[ServiceProcess]:
        """Processes to be killed, such as ``writer-0``; StackError where none may be."""

    def settle(self) -> None:
        """Let services finish what they have, in the order of the flow, and take no more."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OwnSite:
    """A platform of the demo's own, in ``folder``, whose data of an earlier run are removed first."""

    def __init__(
        self, folder: Path, progress: Progress, *, lake: Lake = Lake.FILES, security: Security = Security.PLAIN
    ) -> None:
        self._data = folder / "data"
        services = [replace(each, environment=UNHURRIED) if each.name == "processor" else each for each in SERVICES]
        self._platform = Platform(folder, services=services, lake=lake, security=security, progress=progress)

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is."""
        return self._platform.endpoints

    def connection(self, principal: str) -> Connection:
        """How a service reaches Kafka and the registry."""
        return self._platform.connection(principal)

    def admin(self, *arguments: str) -> str:
        """Run the command line ``headgate``."""
        return self._platform.admin(*arguments)

    def wait_ready(self, service: str) -> None:
        """Wait until a service is at work."""
        self._process(service).wait_ready()

    def victims(self, names: Sequence[str]) -> list[ServiceProcess]:
        """Processes by their names."""
        return [self._platform.processes[name] for name in names]

    def settle(self) -> None:
        """Stop the services; StackError where one does not end with code 0."""
        for name in FLOW:
            process = self._process(name)
            process.wait_ready()  # the last kill may have been a moment ago
            code = process.stop()
            if code != 0:
                raise StackError(f"{process.name} did not stop cleanly: it ended with code {code}")

    def __enter__(self) -> Self:
        discard(self._data)
        self._platform.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._platform.stop()

    def _process(self, service: str) -> ServiceProcess:
        return self._platform.processes[f"{service}-0"]


class GivenSite:
    """A platform that runs already, such as that of docker compose; nobody may have sent it an event yet."""

    def __init__(self, endpoints: Endpoints, source_topic: str) -> None:
        self.endpoints = endpoints
        self._source_topic = source_topic
        self._http = httpx.Client(
            timeout=HTTP_TIMEOUT_S,
            trust_env=False,
            headers={"Authorization": f"Bearer {endpoints.control_token()}"},
        )
        self._drained: list[str] = []

    def connection(self, principal: str) -> Connection:  # noqa: ARG002 - here everybody connects alike
        """How anybody reaches Kafka and the registry."""
        return Connection(
            KafkaSettings(bootstrap_servers=self.endpoints.bootstrap_servers),
            RegistrySettings(url=self.endpoints.registry_url),
        )

    def admin(self, *arguments: str) -> str:
        """Run the command line ``headgate``."""
        return headgate(self.endpoints, self.connection("admin"), *arguments)

    def wait_ready(self, service: str) -> None:
        """Wait until a service is at work."""
        _wait(lambda: http_not_ready(f"{self._url(service)}/readyz"))

    def victims(self, names: Sequence[str]) -> list[ServiceProcess]:
        """Nobody here may be killed by a demo."""
        raise StackError(
            f"the demo cannot kill {', '.join(names)} of a platform it did not start: leave --chaos or --endpoints out"
        )

    def settle(self) -> None:
        """Drain the services; they go on at the end."""
        for name in FLOW:
            self._drained.append(name)
            self._control(name, "drain")
            _wait(lambda name=name: self._busy(name))  # type: ignore[misc]  # mypy knows no default of a lambda

    def __enter__(self) -> Self:
        for name in FLOW:
            self.wait_ready(name)
        if next(read_topic(self.connection("admin").kafka, self._source_topic), None) is not None:
            raise StackError(
                f"{self._source_topic} holds events already, and the demo compares all of it with all of the table: "
                "begin with an empty platform (docker compose down --volumes, then up)"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._drained:
            with suppress(StackError):  # what is wrong with it is known by now
                self._control(name, "resume")
        self._http.close()

    def _control(self, service: str, what: str) -> None:
        try:
            self._http.post(f"{self._url(service)}/control/{what}").raise_for_status()
        except httpx.HTTPError as error:
            raise StackError(f"{service} could not be told to {what}: {error}") from error

    def _busy(self, service: str) -> str | None:
        time.sleep(LOOK_S)
        try:
            status = self._http.get(f"{self._url(service)}/info").raise_for_status().json()["status"]
        except httpx.HTTPError as error:
            return f"{service}: {error}"
        return f"{service} has not finished what it has" if status["busy"] else None

    def _url(self, service: str) -> str:
        return self.endpoints.services[service]


def discard(data: Path) -> None:
    """Remove a stack's data folder with all it holds; harmless where there is none.

    Raises:
        InUseError: A stack runs in it.
        StackError: It holds something that is no stack's.
    """
    if not data.exists():
        return
    if not (data / LOCK_NAME).exists():
        raise StackError(f"{data} is no data folder of a stack, and is not removed: give another folder")
    lock = FolderLock(data)
    lock.acquire()
    try:
        clean_leftovers(data / "run")
        shutil.rmtree(data)
    finally:
        lock.release()


def _wait(why_not: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + WAIT_S
    while (why := why_not()) is not None:
        if time.monotonic() > deadline:
            raise StackError(f"not ready within {WAIT_S:.0f} s: {why}")
        time.sleep(LOOK_S)
