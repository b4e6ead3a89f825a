from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.config import RegistrySettings
from headgate_runtime.errors import RejectedError, UnavailableError, UnknownSchemaError
from headgate_runtime.registry import ConfluentRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = {"type": "record", "name": "r", "fields": []}


class Answers(ThreadingHTTPServer):
    """Answers every request with ``status`` and ``body``, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.body = b"{}"
        self.requests = 0

    def answer(self, status: int, body: object) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
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
