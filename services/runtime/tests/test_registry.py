from __future__ import annotations

import base64
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.config import RegistrySettings
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError, UnknownSchemaError
from headgate_runtime.registry import ConfluentRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = {"type": "record", "name": "r", "fields": []}


class Answers(ThreadingHTTPServer):
    """Answers every request with ``status`` and ``body``, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.body = b"{}"
        self.requests = 0
        self.logins: list[str | None] = []

    def answer(self, status: int, body: object) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        self.server.logins.append(self.headers.get("Authorization"))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_PUT = do_GET  # noqa: N815 - as above

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Answers]:
    server = Answers()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def registry(server: Answers) -> ConfluentRegistry:
    return ConfluentRegistry(RegistrySettings(url=f"http://user:hidden@127.0.0.1:{server.server_port}", timeout_s=2))


def test_an_id_once_seen_is_kept_through_an_outage(server: Answers, registry: ConfluentRegistry) -> None:
    server.answer(200, {"schema": json.dumps(SCHEMA)})
    assert registry.schema(7) == SCHEMA
    server.answer(500, b"down")
    assert registry.schema(7) == SCHEMA
    assert server.requests == 1


def test_the_newest_schema_of_a_subject_is_none_where_the_subject_is_not(
    server: Answers, registry: ConfluentRegistry
) -> None:
    server.answer(200, {"schema": json.dumps(SCHEMA), "version": 3})
    assert registry.latest("s") == SCHEMA
    server.answer(404, {"message": "no subject"})
    assert registry.latest("s") is None


def test_an_unknown_id_is_asked_for_once_in_a_while(server: Answers, registry: ConfluentRegistry) -> None:
    server.answer(404, {"error_code": 40403, "message": "Schema not found"})
    for _ in range(5):
        with pytest.raises(UnknownSchemaError):
            registry.schema(8)
    assert server.requests == 1


@pytest.mark.parametrize(
    "answer", [{"schema": "{}", "schemaType": "PROTOBUF"}, {"schema": "no json"}, {"schema": '"string"'}]
)
def test_an_id_that_is_no_avro_record_is_unknown(
    server: Answers, registry: ConfluentRegistry, answer: dict[str, str]
) -> None:
    server.answer(200, answer)
    with pytest.raises(UnknownSchemaError):
        registry.schema(9)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, b"<html>proxy</html>", UnavailableError),
        (503, {"error_code": 50301, "message": "starting"}, UnavailableError),
        (429, {"error_code": 42901, "message": "slow down"}, UnavailableError),
        (200, b"<html>a proxy's page</html>", UnavailableError),
        (401, {"error_code": 40101, "message": "who are you"}, RejectedError),
        (403, {"error_code": 40301, "message": "not you"}, RejectedError),
        (409, {"error_code": 409, "message": "incompatible"}, RejectedError),
    ],
)
def test_an_answer_means_unavailable_or_refused_and_never_unknown(
    server: Answers, registry: ConfluentRegistry, status: int, body: object, error: type[Exception]
) -> None:
    server.answer(status, body)
    for call in (
        lambda: registry.schema(1),
        lambda: registry.schema_id("s", json.dumps(SCHEMA)),
        lambda: registry.register("s", json.dumps(SCHEMA)),
        lambda: registry.versions("s"),
        lambda: registry.compatibility("s"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert not isinstance(caught.value, UnknownSchemaError)
        assert "hidden" not in str(caught.value)


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    registry = ConfluentRegistry(RegistrySettings(url=f"http://127.0.0.1:{port}", timeout_s=1))
    with pytest.raises(UnavailableError):
        registry.schema(1)


def login(password: str) -> str:
    return f"Basic {base64.b64encode(f'writer:{password}'.encode()).decode()}"


def test_each_call_logs_in_with_the_password_that_is_in_the_file_then(server: Answers, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("first\n")
    url = f"http://127.0.0.1:{server.server_port}"
    registry = ConfluentRegistry(RegistrySettings(url=url, username="writer", password_file=path))
    server.answer(200, [1])
    registry.versions("s")
    path.write_text("second")
    registry.versions("s")
    assert server.logins == [login("first"), login("second")]
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"REGISTRY__PASSWORD_FILE: .*cannot be read"):
        registry.versions("s")


@pytest.mark.parametrize(("status", "says"), [(401, "what is in REGISTRY__PASSWORD_FILE"), (403, "has no right")])
def test_a_refused_login_says_which_setting_to_look_at(
    server: Answers, registry: ConfluentRegistry, status: int, says: str
) -> None:
    server.answer(status, {"message": "no"})
    with pytest.raises(RejectedError, match=says) as raised:
        registry.versions("s")
    assert "hidden" not in str(raised.value)


def test_a_missing_password_or_certificate_is_told_at_the_start(tmp_path: Path) -> None:
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.write_text("no certificate")
    url = "https://127.0.0.1:1"
    with pytest.raises(ConfigurationError, match="REGISTRY__PASSWORD_FILE"):
        ConfluentRegistry(RegistrySettings(url=url, username="u", password_file=absent))
    for ca_file in (absent, empty):
        with pytest.raises(ConfigurationError, match="REGISTRY__CA_FILE"):
            ConfluentRegistry(RegistrySettings(url=url, ca_file=ca_file))
