"""The enricher that replays, as a process of its own: the same program that decides."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Self

from headgate_runtime.children import tied_to_parent
from headgate_runtime.config import as_environment
from headgate_runtime.errors import ConfigurationError, RejectedError

from headgate_admin.config import inherited_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from headgate_admin.config import AdminSettings

MODULE: Final = "headgate_enricher"
PREFIX: Final = "HEADGATE_ENRICHER_"
STOP_TIMEOUT_S: Final = 45.0
TAIL_BYTES: Final = 3_000
# Spans of a replay would stand in the traces of the events as if they had been decided twice.
# Kafka and the registry are reached as the command line reaches them.
NOT_INHERITED: Final = (f"{PREFIX}TRACING__", f"{PREFIX}KAFKA__", f"{PREFIX}REGISTRY__")


def environment(
    settings: AdminSettings, topic: str, ends: Mapping[int, int], most_microdollars: int | None
) -> dict[str, str]:
    """Settings of the enricher: those this process's environment has for it, and those of the replay on top.

    Args:
        settings: Settings of the command line.
        topic: Topic of the replay.
        ends: Offsets at which it ends, by partition number.
        most_microdollars: What it may spend on models; None takes recorded answers.
    """
    own = {
        "ROLE": "replay",
        "GROUP_ID": topic,
        "INSTANCE": topic,
        "HTTP__HOST": "127.0.0.1",
        "HTTP__PORT": "0",
        "OUTPUT_TOPIC": settings.enriched_topic,
        "REPLAY__TOPIC": topic,
        "REPLAY__ENDS": json.dumps(ends),
    }
    if settings.contracts_dir is not None:
        own["CONTRACTS_DIR"] = str(settings.contracts_dir.absolute())
    if most_microdollars is not None:
        own["REPLAY__MOST_MICRODOLLARS"] = str(most_microdollars)
    inherited = {name: value for name, value in inherited_environment().items() if not name.startswith(NOT_INHERITED)}
    connections = as_environment(settings.kafka, f"{PREFIX}KAFKA__")
    connections |= as_environment(settings.registry, f"{PREFIX}REGISTRY__")
    return inherited | connections | {PREFIX + name: value for name, value in own.items()}


class EnricherProcess:
    """A running enricher; stopped at the end of the ``with`` block.

    Args:
        settings: Its environment.
        log: Where its log goes.

    Raises:
        ConfigurationError: The enricher is not installed here.
    """

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        if importlib.util.find_spec(MODULE) is None:
            raise ConfigurationError("The enricher is not installed here: run this where it is, with its agents.")
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", MODULE],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(settings),
                start_new_session=True,  # a Ctrl-C at the terminal is for us: we stop the child in order
                preexec_fn=tied_to_parent(signal.SIGTERM),  # noqa: PLW1509 - only prctl and getppid run there
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.returncode

    def wait(self, seconds: float) -> None:
        """Wait, and see that it runs.

        Raises:
            RejectedError: It has ended; the text has the end of its log.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        tail = self._log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
        raise RejectedError(f"the enricher ended with code {code}; end of {self._log}:\n{tail}")
