"""``headgate local up`` in the background: idempotent, restarts what is killed, and leaves nothing when it is killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from headgate_local import background
from headgate_local.endpoints import Endpoints
from headgate_local.http_ready import http_not_ready
from headgate_local.identity import ProcessIdentity
from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    from pathlib import Path


def local(*arguments: str) -> str:
    command = [sys.executable, "-m", "headgate_local", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def up(folder: Path) -> Endpoints:
    return Endpoints.model_validate_json(local("up", "--no-services", "--json", "--folder", str(folder)))


def status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(local("status", "--json", "--folder", str(folder)))
    return found


def pids(folder: Path) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in status(folder)["processes"]}


def test_up_is_idempotent_restarts_the_killed_survives_its_own_kill_and_goes_down(tmp_path: Path) -> None:
    endpoints = up(tmp_path)
    try:
        assert Endpoints.read(tmp_path) == endpoints
        assert http_not_ready(f"{endpoints.bedrock_url}/healthz") is None
        assert stat.S_IMODE(endpoints.control_token_file.stat().st_mode) == 0o600
        assert up(tmp_path) == endpoints

        first = pids(tmp_path)
        assert set(first) == {"kafka", "registry", "bedrock-local"}
        os.kill(first["bedrock-local"], signal.SIGKILL)
        eventually(lambda: pids(tmp_path)["bedrock-local"] not in {None, first["bedrock-local"]}, timeout_s=20)

        identities = [ProcessIdentity.read(path) for path in (tmp_path / "data" / "run").glob("*.pid")]
        supervisor = background.supervisor(tmp_path)
        assert supervisor is not None
        supervisor.kill()
        if sys.platform == "linux":
            eventually(lambda: not any(one and one.process() for one in identities), timeout_s=20)
        assert not status(tmp_path)["supervisor_pid"]
        again = up(tmp_path)
        assert again == endpoints
    finally:
        local("down", "--folder", str(tmp_path))
    after = status(tmp_path)
    assert (after["supervisor_pid"], after["endpoints"], after["processes"]) == (None, None, [])
