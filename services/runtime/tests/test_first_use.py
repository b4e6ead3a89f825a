"""What a worker need not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALWAYS = {"httpcore", "uvicorn.protocols.http.auto", "pydantic.v1"}
IAM = "kafka=KafkaSettings(security='iam', region='r')"
OIDC = "http=HttpSettings(oidc={'issuer': 'https://i', 'audience': 'a'})"


@pytest.mark.parametrize(("settings", "more"), [("", set()), (IAM, {"boto3"}), (OIDC, {"jwt"})])
def test_a_worker_finds_imported_what_it_will_use_and_no_more(settings: str, more: set[str]) -> None:
    wanted, everything = ALWAYS | more, ALWAYS | {"boto3", "jwt"}
    program = f"""
import sys
from headgate_runtime.config import HttpSettings, KafkaSettings, ServiceSettings
from headgate_runtime.first_use import import_put_off
import_put_off(ServiceSettings({settings}))
sys.exit(sorted(set({sorted(wanted)}) ^ (sys.modules.keys() & set({sorted(everything)}))) or 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own
