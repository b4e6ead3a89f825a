"""Runs the bundled registry as the chart configures it on EKS, on real Kafka: an id once given has to outlive a kill.

Of the file that holds its connection there, a topic's name is tried: what it says has to reach the Kafka clients. The image itself needs a cluster; its program and its version are those of the embedded stack.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from headgate_local import jvm
from headgate_local.config import LocalSettings
from headgate_local.http_ready import http_not_ready
from headgate_local.installation import install
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_local.progress import PlainProgress
from headgate_local.stack import Stack
from headgate_runtime.config import KafkaSettings
from headgate_runtime.kafka.admin import KafkaAdmin

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from tests.deploy.chart.rendering import Manifest

_SCHEMA: Final = '{"type": "record", "name": "Kept", "fields": []}'
_NAME: Final = "headgate-registry"
_CONNECTION: Final = "/etc/headgate/registry/application.properties"
_JOURNAL: Final = "journal-of-the-properties-file"
_HTTP, _HEALTH = "bundled-registry", "bundled-registry-health"


def registry_figures(manifests: Iterable[Manifest], out: TextIO) -> dict[str, float]:
    """Start it, register a schema, kill it with SIGKILL, start it again, ask for the schema by its id."""
    pod = next(m for m in manifests if m["kind"] == "Deployment" and m["metadata"]["name"] == _NAME)["spec"]["template"]
    container = pod["spec"]["containers"][0]
    progress = PlainProgress(out)
    home = install(LocalSettings().cache, progress).registry_home
    same_version = float(container["image"].rpartition(":")[2] in home.name)
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder) / "data", registry=False, progress=progress, reserve=[_HTTP, _HEALTH]) as stack,
    ):
        properties = Path(folder) / Path(_CONNECTION).name
        properties.write_text(f"apicurio.kafkasql.topic={_JOURNAL}\n", encoding="utf-8")
        given_env = {each["name"]: each["value"].replace(_CONNECTION, str(properties)) for each in container["env"]}
        environment = given_env | _addresses(stack)
        flags = [jvm.java(), *jvm.COMMON_FLAGS, "-Xmx384m", "-jar", str(home / "quarkus-run.jar")]
        ready = f"http://{HOST}:{stack.port(_HEALTH)}{container['readinessProbe']['httpGet']['path']}"
        spec = ProcessSpec(
            _HTTP, flags, Path(folder), lambda: http_not_ready(ready), environment=environment, ready_timeout_s=120.0
        )
        process = ServiceProcess(spec)
        api = f"http://{HOST}:{stack.port(_HTTP)}/apis/ccompat/v7"
        try:
            seconds = _start(process)
            given = _ask("POST", f"{api}/subjects/kept-value/versions", json={"schema": _SCHEMA})["id"]
            process.kill9()
            again = _start(process)
            topics = KafkaAdmin(KafkaSettings(bootstrap_servers=stack.bootstrap_servers)).topics()
            kept = _ask("GET", f"{api}/schemas/ids/{given}")["schema"].replace(" ", "") == _SCHEMA.replace(" ", "")
        finally:
            process.stop()
    return {
        "registry_version": same_version,
        "registry_keeps_ids": float(kept),
        "registry_reads_properties": float(_JOURNAL in topics),
        "registry_start_s": seconds,
        "registry_restart_s": again,
    }


def _addresses(stack: Stack) -> dict[str, str]:
    """Where it listens and where Kafka is, here."""
    return {
        "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(stack.port(_HTTP)),
        "QUARKUS_MANAGEMENT_HOST": HOST,
        "QUARKUS_MANAGEMENT_PORT": str(stack.port(_HEALTH)),
    }


def _start(process: ServiceProcess) -> float:
    began = time.monotonic()
    process.start()
    process.wait_ready()
    return round(time.monotonic() - began, 1)


def _ask(method: str, url: str, **request: object) -> dict[str, str]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer: dict[str, str] = client.request(method, url, **request).raise_for_status().json()  # type: ignore[arg-type]
    return answer
