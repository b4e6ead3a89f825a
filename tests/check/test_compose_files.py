"""What docker compose and the images are made of holds together; nothing here needs Docker."""

from __future__ import annotations

import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_local.containers import KAFKA_IMAGE, REGISTRY_IMAGE
from headgate_local.endpoints import Endpoints

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def script(path: str) -> ModuleType:
    spec = spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_confined_and_bounded(service: str) -> None:
    described = SERVICES[service]
    assert described["cap_drop"] == ["ALL"]
    assert described["read_only"] is True
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert set(described["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "privileged" not in described
    assert "cap_add" not in described


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_named_by_a_version(service: str) -> None:
    image = SERVICES[service]["image"]
    name, _, tag = image.partition(":")
    if name.startswith("headgate-"):
        assert tag == f"${{HEADGATE_VERSION:-{version('headgate-runtime')}}}"
    else:
        assert tag.lstrip("v")[0].isdigit()


def test_only_the_producer_and_grafana_are_published_and_on_this_machine_alone() -> None:
    published = {name: described["ports"] for name, described in SERVICES.items() if "ports" in described}
    assert set(published) == {"producer", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_kafka_and_registry_are_those_that_tests_run_on() -> None:
    assert (SERVICES["kafka"]["image"], SERVICES["registry"]["image"]) == (KAFKA_IMAGE, REGISTRY_IMAGE)


def test_the_demo_looks_where_the_services_are() -> None:
    endpoints = Endpoints.read_file(ROOT / COMPOSE["configs"]["endpoints"]["file"])
    assert endpoints is not None
    writer, enricher = SERVICES["writer"]["environment"], SERVICES["enricher"]["environment"]
    assert endpoints.catalog == json.loads(writer["HEADGATE_WRITER_CATALOG"])
    assert endpoints.bootstrap_servers == writer["HEADGATE_WRITER_KAFKA__BOOTSTRAP_SERVERS"]
    assert endpoints.registry_url == writer["HEADGATE_WRITER_REGISTRY__URL"]
    assert endpoints.bedrock_url == enricher["HEADGATE_ENRICHER_BEDROCK__ENDPOINT_URL"]
    assert set(endpoints.services) <= set(SERVICES)


def test_no_secret_is_in_an_environment_but_the_local_endpoint_s_constant() -> None:
    secret = [
        (service, name, value)
        for service, described in SERVICES.items()
        for name, value in described.get("environment", {}).items()
        if any(word in f"{name} {value}".lower() for word in ("password", "secret", "token"))
        and not str(value).startswith("/run/secrets/")
    ]
    assert secret == [("enricher", "HEADGATE_ENRICHER_BEDROCK__SECRET_ACCESS_KEY", "local")]


def test_secrets_are_made_once_in_a_folder_of_their_owner_s_alone(tmp_path: Path) -> None:
    maker = script("deploy/compose/make_secrets.py")
    folder = tmp_path / ".secrets"
    assert maker.make(folder)
    assert {f".secrets/{path.name}" for path in folder.iterdir()} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert not maker.make(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    key = json.loads(before["lake-identities.json"])["identities"][0]["credentials"][0]["secretKey"]
    assert f"aws_secret_access_key = {key}\n" in before["lake-credentials"]
    assert maker.contents() != maker.contents()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_says_what_the_service_says(
    status: int, *, healthy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert script("deploy/images/healthcheck.py").healthy(server.server_address[1]) is healthy
        server.shutdown()
        thread.join()


def test_a_service_that_does_not_listen_is_not_healthy() -> None:
    assert not script("deploy/images/healthcheck.py").healthy(1)
