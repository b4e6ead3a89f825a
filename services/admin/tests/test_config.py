from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from headgate_admin.config import ENDPOINTS, load_settings
from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    return tmp_path


@pytest.fixture
def local_stack(folder: Path) -> None:
    path = folder / ENDPOINTS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"bootstrap_servers": "local:1", "registry_url": "http://local:2", "catalog": {}}))


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.origin(settings.kafka.bootstrap_servers) == "127.0.0.1:9092"


@pytest.mark.usefixtures("local_stack")
def test_a_local_stack_gives_its_addresses_and_is_named() -> None:
    settings = load_settings()
    assert settings.registry.url == "http://local:2"
    assert settings.origin(settings.kafka.bootstrap_servers) == "local:1 (from build/local/endpoints.json)"


def test_a_local_stack_with_services_gives_the_producer_and_its_token(folder: Path) -> None:
    path = folder / ENDPOINTS
    path.parent.mkdir(parents=True)
    services = {"services": {"producer": "http://local:3"}, "control_token_file": "/token"}
    path.write_text(json.dumps({"bootstrap_servers": "local:1", "registry_url": "http://local:2"} | services))
    producer = load_settings().producer
    assert (producer.url, str(producer.token_file)) == ("http://local:3", "/token")


@pytest.mark.usefixtures("local_stack")
def test_the_environment_wins_over_a_local_stack_and_an_option_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS", "env:1")
    monkeypatch.setenv("HEADGATE_ADMIN_KAFKA__PROPERTIES", '{"security.protocol": "SSL"}')
    assert load_settings().kafka.bootstrap_servers == "env:1"
    settings = load_settings(bootstrap_servers="option:1")
    assert settings.kafka.bootstrap_servers == "option:1"
    assert settings.origin("option:1") == "option:1"
    assert settings.kafka.properties == {"security.protocol": "SSL"}


def test_a_damaged_endpoints_file_is_refused(folder: Path) -> None:
    path = folder / ENDPOINTS
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"build/local/endpoints.json cannot be read"):
        load_settings()


def test_a_wrong_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_REGISTRY__TIMEOUT_S", "soon")
    with pytest.raises(ConfigurationError, match=r"registry\.timeout_s: Input should be a valid number"):
        load_settings()
