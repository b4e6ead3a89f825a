"""The schema registry (Apicurio, through its Confluent API), with its schemas in a file database."""

from __future__ import annotations

import signal
import ssl
from typing import TYPE_CHECKING

import httpx

from headgate_local import jvm
from headgate_local.folder import write_whole
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_runtime.config import RegistrySettings

    from headgate_local.access import Access
    from headgate_local.installation import Installation

PORTS = ("registry", "registry-management")
API_PATH = "/apis/ccompat/v7"

SETTINGS = {
    "quarkus.http.host": HOST,
    "quarkus.management.host": HOST,
    "quarkus.banner.enabled": "false",
    "quarkus.http.access-log.enabled": "false",
    'quarkus.log.category."io.apicurio".level': "WARN",
    "apicurio.datasource.jdbc.initial-size": "2",
    "apicurio.datasource.jdbc.min-size": "2",
    "apicurio.datasource.jdbc.max-size": "10",
}


class RegistryServer:
    """The registry of one data folder: its configuration, its command, its readiness."""

    def __init__(self, data: Path, installation: Installation, ports: dict[str, int], access: Access) -> None:
        self._home = installation.registry_home
        self._archive = installation.base_archive
        self._folder = data / "registry"
        self._properties = data / "registry.properties"
        self._ports = ports
        self._access = access

    def prepare(self) -> None:
        """Write the configuration."""
        settings = SETTINGS | {
            **self._access.registry_properties(self._ports["registry"]),
            "quarkus.management.port": str(self._ports["registry-management"]),
            # by default H2 writes half a second later: a schema registered just before a kill would be lost
            "apicurio.datasource.url": f"jdbc:h2:file:{self._folder / 'db'};WRITE_DELAY=0",
            "apicurio.storage.snapshot.location": str(self._folder),
        }
        write_whole(self._properties, "".join(f"{key}={value}\n" for key, value in settings.items()), mode=0o600)

    def spec(self, folder: Path) -> ProcessSpec:
        """The registry's process; it is ready when the global compatibility is BACKWARD."""
        flags = ["-Xmx256m", "-XX:TieredStopAtLevel=1", f"-XX:SharedArchiveFile={self._archive}"]
        return ProcessSpec(
            "registry",
            [jvm.java(), *jvm.COMMON_FLAGS, *flags, "-jar", str(self._home / "quarkus-run.jar")],
            folder,
            lambda: registry_not_ready(self._access.registry(self._ports["registry"], API_PATH, None)),
            environment={"SMALLRYE_CONFIG_LOCATIONS": str(self._properties)},
            ready_timeout_s=90.0,
            death_signal=signal.SIGTERM,
        )


def registry_not_ready(settings: RegistrySettings) -> str | None:
    """Why the registry cannot be used yet, None when it can; raises its global level from NONE to BACKWARD."""
    url = f"{settings.url}/config"
    login = (
        (settings.username, settings.password_file.read_text())
        if settings.username and settings.password_file
        else None
    )
    trusted = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else False
    try:
        with httpx.Client(timeout=3.0, trust_env=False, auth=login, verify=trusted) as client:
            reply = client.get(url).raise_for_status()
            if reply.json().get("compatibilityLevel") != "NONE":
                return None
            client.put(url, json={"compatibility": "BACKWARD"}).raise_for_status()
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None
