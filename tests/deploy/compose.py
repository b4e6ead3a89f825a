"""docker compose: the whole platform from the images, the demo's events through it, and how its containers are held."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from headgate_local.http_ready import http_not_ready
from rich.console import Console

from tests.deploy.docker import inspect, require_engine
from tests.deploy.tools import ToolError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROJECT: Final = "headgate-verify"
OURS: Final = ("bedrock-local", "producer", "enricher", "reviews", "processor", "writer")
FLOW: Final = ("producer", "enricher", "reviews", "processor", "writer", "bedrock-local")
STOP_TIMEOUT_S: Final = 60
START_TIMEOUT_S: Final = 120.0
UP_TIMEOUT_S: Final = 480
LOOK_S: Final = 0.1
_UNITS: Final = {"B": 1e-6, "KiB": 1.024e-3, "MiB": 1.048576, "GiB": 1073.741824}
_DEMO: Final = ("--endpoints", "/etc/headgate/endpoints.json", "--json")
_console = Console()


def check() -> dict[str, float]:
    """Bring the platform up, send it the demo's events, look at it, stop and start it; nothing of it is left."""
    require_engine()
    run("make", "compose-secrets")
    with _stack() as up_s:
        faults = _demo()
        faults["producer_published"] = _published_health()
        figures = _held(faults) | {"up_s": up_s}
        faults["smoke"] = _smoke()
        stopped, started = _restarted()
        faults["sigterm"], figures = stopped, figures | started
        faults["smoke_after_restart"] = _smoke()
    for problem in (problem for found in faults.values() for problem in found):
        _console.print(problem, style="red", highlight=False, markup=False)
    return {name: float(not found) for name, found in faults.items()} | figures


@contextmanager
def _stack() -> Iterator[float]:
    """The platform while it is up; gives the seconds that took. What is left of an earlier run goes first."""
    _compose("down", "--volumes", "--remove-orphans")
    began = time.monotonic()
    try:
        _compose("up", "--detach", "--wait", "--wait-timeout", str(UP_TIMEOUT_S))
        yield round(time.monotonic() - began, 1)
    except ToolError:
        _console.print(_compose("logs", "--tail", "20"), highlight=False, markup=False)
        raise
    finally:
        _compose("down", "--volumes", "--remove-orphans")


def _demo() -> dict[str, list[str]]:
    """What the demo finds wrong, by the name of the figure that says it found nothing."""
    told = _compose("run", "--rm", "--no-deps", "demo", "run", *_DEMO, codes=(0, 1))
    report = json.loads(told)
    kinds = {"nothing_lost": "missing", "nothing_doubled": "duplicates", "nothing_changed": "changed"}
    counted = {name: [f"{report[kind]} rows: {kind}"] * bool(report[kind]) for name, kind in kinds.items()}
    return {**counted, "demo_exact": list(report["faults"])}


def _held(faults: dict[str, list[str]]) -> dict[str, float]:
    """Add to the faults what a container may do and should not; return what memory each of ours takes, in MB."""
    running = json.loads(f"[{','.join(_compose('ps', '--format', 'json').splitlines())}]")
    names = {each["Service"]: each["Name"] for each in running}
    known = {service: inspect(name) for service, name in names.items()}
    rules: dict[str, Callable[[dict[str, Any]], bool]] = {
        "non_root": lambda c: c["Config"]["User"].split(":")[0] not in {"", "0", "root"},
        "read_only": lambda c: c["HostConfig"]["ReadonlyRootfs"],
        "no_capabilities": lambda c: c["HostConfig"]["CapDrop"] == ["ALL"] and not c["HostConfig"]["CapAdd"],
        "no_new_privileges": lambda c: "no-new-privileges:true" in c["HostConfig"]["SecurityOpt"],
        "only_the_producer_published": lambda c: _published(c) == (["127.0.0.1"] if _service(c) == "producer" else []),
        "never_out_of_memory": lambda c: not c["State"]["OOMKilled"] and c["RestartCount"] == 0,
    }
    for rule, holds in rules.items():
        faults[rule] = [f"{service}: not {rule}" for service, container in known.items() if not holds(container)]
    faults["processes_non_root"] = [f"{service} runs as root" for service in known if "0" in _users(service)]
    memory = {service: _memory_mb(name) for service, name in names.items()}
    limits = {service: container["HostConfig"]["Memory"] / 1e6 for service, container in known.items()}
    faults["under_memory_limit"] = [
        f"{service} takes {memory[service]:.0f} MB of {limits[service]:.0f}"
        for service in known
        if not memory[service] < limits[service]
    ]
    return {f"{service}_mb": round(memory[service]) for service in OURS}


def _smoke() -> list[str]:
    try:
        _compose("run", "--rm", "--no-deps", "admin", "smoke", "--json")
    except ToolError as error:
        return [str(error)]
    return []


def _restarted() -> tuple[list[str], dict[str, float]]:
    """Stop our services in the order of the flow, start them in the other; say who did not end with 0, and how long
    each takes from its start to being healthy."""
    problems, seconds = [], {}
    for service in FLOW:
        _compose("stop", "--timeout", str(STOP_TIMEOUT_S), service)
        code = inspect(_name(service))["State"]["ExitCode"]
        if code != 0:
            problems.append(f"{service} ended with code {code} after SIGTERM")
    for service in reversed(FLOW):
        began = time.monotonic()
        run("docker", "start", _name(service))
        _await_healthy(_name(service), began + START_TIMEOUT_S)
        seconds[f"{service}_start_s"] = round(time.monotonic() - began, 1)
    return problems, seconds


def _await_healthy(container: str, deadline: float) -> None:
    """Wait until what the image's health check runs ends well; the engine itself asks only every few seconds."""
    while True:
        try:
            run("docker", "exec", container, "python", "-IS", "/opt/headgate/healthcheck.py")
        except ToolError as error:
            if time.monotonic() > deadline:
                raise ToolError(f"{container} is not healthy in time: {error}") from error
        else:
            return
        time.sleep(LOOK_S)


def _published(container: dict[str, Any]) -> list[str]:
    return [at["HostIp"] for each in (container["HostConfig"]["PortBindings"] or {}).values() for at in each]


def _service(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def _name(service: str) -> str:
    return f"{PROJECT}-{service}-1"


def _users(service: str) -> set[str]:
    """The users of a container's processes, as the kernel has them."""
    lines = run("docker", "top", _name(service), "-eo", "pid,uid").splitlines()[1:]
    return {line.split()[1] for line in lines}


def _memory_mb(container: str) -> float:
    used = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", container).split("/")[0].strip()
    unit = used.lstrip("0123456789.")
    return float(used.removesuffix(unit)) * _UNITS[unit]


def _published_health() -> list[str]:
    """Ask the producer for its health where this machine's users do."""
    address = _compose("port", "producer", "8080").strip()
    why_not = http_not_ready(f"http://{address}/healthz")
    return [] if why_not is None else [why_not]


def _compose(*words: str, codes: Sequence[int] = (0,)) -> str:
    # any free port: somebody's own platform may be up on the usual one
    environment = dict(os.environ) | {"HEADGATE_PORT": "0"}
    return run("docker", "compose", "--project-name", PROJECT, *words, environment=environment, codes=codes)
