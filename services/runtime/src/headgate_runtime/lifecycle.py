"""The life of a service process: settings, signals, control API, loop, exit code."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
import uvicorn
from headgate_schemas import ContractError
from pydantic import ValidationError

from headgate_runtime.access import ControlAuth
from headgate_runtime.children import beside
from headgate_runtime.closing import closing
from headgate_runtime.config import ServiceSettings, unknown_variables
from headgate_runtime.control import control_app
from headgate_runtime.errors import ConfigurationError, FencedError, HeadgateError, InDoubtError
from headgate_runtime.first_use import import_put_off
from headgate_runtime.keeper import keep
from headgate_runtime.logs import configure_logs
from headgate_runtime.masking import masked
from headgate_runtime.service import Runnable, Service
from headgate_runtime.tracing import spans_exported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from fastapi import FastAPI

    from headgate_runtime.config import HttpSettings

__all__ = ["Runnable", "Service", "run"]

_log = structlog.get_logger(__name__)
_Settings = TypeVar("_Settings", bound=ServiceSettings)

GC_THRESHOLDS: Final = (100_000, 20, 20)
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISCONFIGURED: Final = 2
EXIT_FENCED: Final = 3
_HTTP_STOP_S: Final = 5.0

# The first that fits says how a fault is told; only the last two need a traceback.
_ENDINGS: Final = (
    ((ConfigurationError, ContractError), "configuration error", EXIT_MISCONFIGURED),
    (FencedError, "fenced: another instance has taken over", EXIT_FENCED),
    (InDoubtError, "outcome of a commit unknown: the next start settles it", EXIT_FAILED),
    (HeadgateError, "stopped by a fault", EXIT_FAILED),
    (Exception, "stopped by an unexpected fault", EXIT_FAILED),
)
_WITH_TRACEBACK: Final = (HeadgateError, Exception)


def run(
    settings_type: type[_Settings],
    build: Callable[[_Settings], Service],
    preload: Callable[[_Settings], None] | None = None,
    settle: Callable[[_Settings], None] | None = None,
) -> int:
    """Run a service until a signal stops it; return the exit code of the process.

    0 after a clean stop, 1 after a fault, 2 where the configuration is at fault, 3 where another instance has taken
    over. SIGTERM or SIGINT stops consuming, lets what is in flight finish, leaves the group, stops the control API
    and closes what the service opened; a second signal ends the process at once.

    Args:
        settings_type: The service's settings; read from the environment here.
        build: Wires the service.
        preload: Imports what the service is made of, and opens nothing. With it the service runs in a child process,
            which is replaced at once where a signal kills it (see ``keeper``).
        settle: Ends what a killed predecessor left open, while ``preload`` takes its time; in a process of its own.
    """
    settings = _settings(settings_type)
    if settings is None:
        return EXIT_MISCONFIGURED
    prefix = settings_type.model_config.get("env_prefix", "")
    name = prefix.removeprefix("HEADGATE_").strip("_").lower()
    configure_logs(name, settings.log_level, instance=settings.instance)

    def serve(restarts: int) -> None:
        with spans_exported(settings.tracing, service=name, instance=settings.instance):
            _serve(settings, build, restarts)

    if preload is None:
        return _ending(partial(serve, 0), "stopped")
    with beside(partial(settle, settings)) if settle else nullcontext():
        failed = _ending(partial(preload, settings)) or _ending(partial(import_put_off, settings))
    return failed or keep(lambda restarts: _ending(partial(serve, restarts), "stopped"))


def _ending(step: Callable[[], None], event: str | None = None) -> int:
    """Take a step of the process's life; returns its exit code."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - the end of the process: whatever it is belongs in the log and the exit code
        kinds, event, code = next(ending for ending in _ENDINGS if isinstance(error, ending[0]))
        _log.error(event, error=str(error), kind=type(error).__name__, exc_info=kinds in _WITH_TRACEBACK)
        return code
    if event is not None:
        _log.info(event)
    return EXIT_OK


def _settings(settings_type: type[_Settings]) -> _Settings | None:
    """Read the settings; where they are wrong, say why and return None."""
    if unknown := unknown_variables(settings_type, os.environ):
        sys.stderr.write("".join(f"{name} is no setting: did you mean {near}?\n" for name, near in unknown.items()))
        return None
    try:
        return settings_type()
    except ValidationError as error:
        sys.stderr.write(_explain(settings_type, error))
        return None


def _serve(settings: _Settings, build: Callable[[_Settings], Service], restarts: int) -> None:
    auth = ControlAuth.from_settings(settings.http)
    service = build(settings)
    service.metrics.worker_restarts.set(restarts)
    # What the start has made stays: a collector that walks it again and again only makes events wait.
    gc.freeze()
    # What is under way or remembered goes without the collector's help; the default has it look again and again.
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    with (
        _stopped_by_signals(service.loop),
        closing(service.close, "service"),
        _listening(control_app(service, auth, masked(settings)), settings.http),
    ):
        service.loop.run()


@contextmanager
def _listening(app: FastAPI, http: HttpSettings) -> Iterator[None]:
    """Answer HTTP on a thread of its own, so that health is told also while the loop drains."""
    try:
        listener = socket.create_server((http.host, http.port))
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {http.host}:{http.port}: {error}; set HTTP__PORT") from error
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="control-api", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    _log.info("control api listening", url=f"http://{host}:{port}")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_HTTP_STOP_S)


@contextmanager
def _stopped_by_signals(loop: Runnable) -> Iterator[None]:
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        loop.stop()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _explain(settings_type: type[ServiceSettings], error: ValidationError) -> str:
    """Say which variable is wrong, in the names of the environment; never its content."""
    prefix = settings_type.model_config.get("env_prefix", "")
    delimiter = settings_type.model_config.get("env_nested_delimiter") or "__"
    lines = [
        f"  {prefix}{delimiter.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return "The configuration is wrong; set these environment variables right:\n" + "\n".join(lines) + "\n"
