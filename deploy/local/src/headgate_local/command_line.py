"""Runs the command line ``headgate`` against a platform."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_runtime.config import as_environment

from headgate_local.config import inherited_environment
from headgate_local.folder import StackError

if TYPE_CHECKING:
    from headgate_runtime.config import KafkaSettings, RegistrySettings

    from headgate_local.endpoints import Endpoints

TIMEOUT_S = 120
TAIL_CHARS = 3000


@dataclass(frozen=True, slots=True)
class Connection:
    """How somebody reaches Kafka and the registry."""

    kafka: KafkaSettings
    registry: RegistrySettings

    def environment(self, service: str) -> dict[str, str]:
        """Variables that have a service connect so."""
        prefix = prefix_of(service)
        kafka = as_environment(self.kafka, f"{prefix}KAFKA__")
        return kafka | as_environment(self.registry, f"{prefix}REGISTRY__")


def prefix_of(service: str) -> str:
    """What the names of a service's variables begin with: ``HEADGATE_<NAME>_``."""
    return f"HEADGATE_{service.upper().replace('-', '_')}_"


def program() -> str:
    """The program, of this Python's environment."""
    return str(Path(sysconfig.get_path("scripts")) / "headgate")


def headgate(endpoints: Endpoints, connection: Connection, *arguments: str) -> str:
    """Run a command and return what it prints; StackError when it fails."""
    settings = {
        "CATALOG": json.dumps(endpoints.catalog),
        "PRODUCER__TOKEN_FILE": str(endpoints.control_token_file),
    }
    if (producer := endpoints.services.get("producer")) is not None:
        settings["PRODUCER__URL"] = producer
    own = {f"{prefix_of('admin')}{name}": value for name, value in settings.items()}
    environment = inherited_environment() | connection.environment("admin") | own
    done = subprocess.run(  # noqa: S603 - our own command
        [program(), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    if done.returncode != 0:
        raise StackError(f"headgate {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-TAIL_CHARS:]}")
    return done.stdout
