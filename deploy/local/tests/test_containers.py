"""Where Docker cannot run the brokers, the reason is given and nothing is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_local import containers
from testcontainers.core.config import testcontainers_config

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_absent_daemon_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert containers.why_not() == "Docker does not answer"


def test_the_reaper_s_image_is_asked_for_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = (containers.KAFKA_IMAGE, containers.REGISTRY_IMAGE)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    assert containers.needed_images() == (testcontainers_config.ryuk_image, *brokers)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    assert containers.needed_images() == brokers
