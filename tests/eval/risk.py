"""Evaluates the risk agent with a model: the local Bedrock endpoint as a process of its own, then ``headgate agent eval``.

Writes build/eval/risk.json and risk.svg (rules only beside rules and model) and build/eval/injection.json; arguments are
passed on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from headgate_local.http_ready import http_not_ready
from headgate_local.ports import choose_ports
from headgate_local.processes import ProcessSpec, ServiceProcess

ROOT = Path(__file__).parents[2]
NAME = "bedrock-local"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""The local endpoint takes any."""


def main(arguments: list[str]) -> int:
    """Run the evaluation against a fresh endpoint; the exit code is the command's own."""
    folder = ROOT / "build" / "eval"
    folder.mkdir(parents=True, exist_ok=True)
    port = choose_ports([NAME], {})[NAME]
    url = f"http://127.0.0.1:{port}"
    endpoint = ServiceProcess(
        ProcessSpec(
            NAME,
            [sys.executable, "-m", "headgate_bedrock_local"],
            folder,
            lambda: http_not_ready(f"{url}/healthz"),
            environment={"HEADGATE_BEDROCK_LOCAL_HOST": "127.0.0.1", "HEADGATE_BEDROCK_LOCAL_PORT": str(port)},
        )
    )
    endpoint.start()
    try:
        endpoint.wait_ready()
        command = [sys.executable, "-m", "headgate_agent_risk.evals", "--endpoint", url, *arguments]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, **CREDENTIALS}, check=False).returncode
    finally:
        endpoint.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
