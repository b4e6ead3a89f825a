"""What a worker need not import."""

from __future__ import annotations

import subprocess
import sys


def test_a_worker_finds_transports_and_models_imported() -> None:
    wanted = "{'httpcore', 'uvicorn.protocols.http.auto', 'pydantic.v1'}"
    program = f"""
import sys
from headgate_runtime.first_use import import_put_off
import_put_off()
sys.exit(sorted({wanted} - sys.modules.keys()) or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own
