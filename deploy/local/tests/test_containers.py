"""Where Docker cannot run the brokers, the reason is given and nothing is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_local import containers

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_absent_daemon_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert containers.why_not() == "Docker does not answer"
