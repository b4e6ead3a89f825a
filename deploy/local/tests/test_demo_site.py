"""A demo on a platform that is there: it wants it ready and empty, lets it settle, and leaves it at work."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from headgate_local.demo import site
from headgate_local.demo.site import FLOW, GivenSite
from headgate_local.endpoints import Endpoints
from headgate_local.folder import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-of-some-length"


class Services:
    """All services of a platform behind one address, each under its name.

    Attributes:
        told: Control calls with the right token, in order.
        busy: How many more looks at each service find it busy.
        records: What the source topic holds.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.busy = dict.fromkeys(FLOW, 1)
        self.records: list[str] = []
        self.ready = True

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        _, service, *what = path.split("/")
        if what == ["readyz"]:
            return (200 if self.ready else 503), {}
        if what == ["info"]:
            self.busy[service] -= 1
            return 200, {"status": {"busy": self.busy[service] >= 0}}
        if authorization != f"Bearer {TOKEN}":
            return 403, {}
        self.told.append(f"{what[-1]} {service}")
        return 200, {}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    services = Services()
    monkeypatch.setattr(site, "read_topic", lambda _servers, _topic: iter(services.records))
    monkeypatch.setattr(site, "LOOK_S", 0.0)
    monkeypatch.setattr(site, "WAIT_S", 0.2)
    return services


@pytest.fixture
def given(services: Services, tmp_path: Path) -> Iterator[GivenSite]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = services.answer(self.path, self.headers["Authorization"])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    (tmp_path / "token").write_text(TOKEN + "\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield GivenSite(
            Endpoints(
                bootstrap_servers="kafka:9092",
                registry_url=url,
                bedrock_url=url,
                catalog={},
                services={name: f"{url}/{name}" for name in FLOW},
                control_token_file=tmp_path / "token",
            ),
            "raw-events",
        )
        server.shutdown()
        thread.join()


def test_services_are_drained_in_the_order_of_the_flow_and_go_on_afterwards(
    services: Services, given: GivenSite
) -> None:
    with given:
        given.settle()
        assert services.told == [f"drain {name}" for name in FLOW]
        assert all(looks < 0 for looks in services.busy.values())
    assert services.told[len(FLOW) :] == [f"resume {name}" for name in FLOW]


def test_a_platform_that_has_events_is_refused_with_the_way_to_an_empty_one(
    services: Services, given: GivenSite
) -> None:
    services.records = ["an event"]
    with pytest.raises(StackError, match="docker compose down --volumes"), given:
        pass
    assert services.told == []


def test_a_platform_that_is_not_ready_is_waited_for_to_a_deadline(services: Services, given: GivenSite) -> None:
    services.ready = False
    with pytest.raises(StackError, match="503"), given:
        pass


def test_a_service_that_does_not_finish_is_named_and_goes_on_too(services: Services, given: GivenSite) -> None:
    services.busy["enricher"] = 1_000_000
    with pytest.raises(StackError, match="enricher has not finished"), given:
        given.settle()
    assert services.told == ["drain producer", "drain enricher", "resume producer", "resume enricher"]


def test_nobody_is_killed_on_a_platform_that_is_not_the_demo_s_own(given: GivenSite) -> None:
    with pytest.raises(StackError, match="leave --chaos or --endpoints out"):
        given.victims(["writer-0"])
