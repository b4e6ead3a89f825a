"""The proxy that makes servers fail, before a small server that counts what it does."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_runtime.testing import eventually

from tests.chaos.proxy import Fault, FaultProxy, Request, is_commit

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counting(BaseHTTPRequestHandler):
    """Answers each POST with how many there were, and its body."""

    protocol_version = "HTTP/1.1"
    server: CountingServer

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size + 2)[:-2]
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.done += 1
        self._answer(b"%d %s" % (self.server.done, body))

    def do_HEAD(self) -> None:
        self._answer(b"not sent")

    def _answer(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return


class CountingServer(ThreadingHTTPServer):
    daemon_threads = True
    done = 0


@contextmanager
def proxied(**settings: Any) -> Iterator[tuple[CountingServer, FaultProxy, httpx.Client]]:
    with CountingServer(("127.0.0.1", 0), Counting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with (
                FaultProxy(server.server_port, **settings) as proxy,
                httpx.Client(base_url=proxy.url, trust_env=False, timeout=0.3) as client,
            ):
                yield server, proxy, client
        finally:
            server.shutdown()
            thread.join()


def test_requests_of_every_form_pass() -> None:
    with proxied() as (_, proxy, client):
        assert client.post("/", content=b"a body").text == "1 a body"
        assert client.post("/", content=iter([b"in ", b"chunks"])).text == "2 in chunks"
        assert client.head("/").headers["Content-Length"] == "8"
        assert client.post("/", content=b"x" * 3_000_000).text.endswith("x")
        assert client.post("/", content=b"it", headers={"Expect": "100-continue"}).text == "4 it"
        assert proxy.struck == {Fault.NONE: 5}


def test_a_refusing_server_breaks_connections_off_and_comes_back_on_its_port() -> None:
    with proxied() as (server, proxy, client):
        client.post("/")
        proxy.set(Fault.REFUSE)
        with pytest.raises(httpx.TransportError):
            client.post("/")
        with pytest.raises(httpx.ConnectError):
            client.post("/")
        proxy.set(Fault.NONE)
        client.post("/")
        assert server.done == 2


def test_what_a_hanging_server_was_asked_takes_effect_later() -> None:
    with proxied() as (server, proxy, client):
        proxy.set(Fault.HANG)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/", content=b"late")
        assert server.done == 0
        proxy.set(Fault.NONE)
        eventually(lambda: server.done == 1, 5)


def test_an_unavailable_server_says_so_and_does_nothing() -> None:
    with proxied() as (server, proxy, client):
        proxy.set(Fault.UNAVAILABLE)
        assert client.post("/").status_code == 503
        proxy.set(Fault.NONE)
        assert client.post("/").status_code == 200
        assert server.done == 1


@pytest.mark.parametrize(("fault", "done"), [(Fault.LOSE_REQUEST, 0), (Fault.LOSE_ANSWER, 1)])
def test_a_lost_request_has_no_effect_and_a_lost_answer_hides_one(fault: Fault, done: int) -> None:
    with proxied() as (server, proxy, client):
        proxy.set(fault)
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/")
        assert server.done == done
        assert proxy.struck == {fault: 1}


def test_chances_strike_matching_requests_the_same_each_time() -> None:
    counts = []
    for _ in range(2):
        chances = {Fault.UNAVAILABLE: 0.2, Fault.LOSE_ANSWER: 0.0}
        with proxied(chances=chances, only=lambda request: request.path == "/struck", seed=3) as (_, proxy, client):
            answers = [client.post(f"/{path}").status_code for path in ["struck", "spared"] * 50]
            assert 503 not in answers[1::2]
            counts.append((answers, dict(proxy.struck)))
    assert counts[0] == counts[1]
    assert 1 <= counts[0][1][Fault.UNAVAILABLE] <= 25


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/lake/namespaces/a/tables/t", True),
        ("POST", "/v1/catalogs/123456789012/namespaces/a/tables/t?x=1", True),
        ("GET", "/v1/lake/namespaces/a/tables/t", False),
        ("POST", "/v1/lake/namespaces/a/tables", False),
        ("POST", "/v1/oauth/tokens", False),
    ],
)
def test_commits_are_told_from_other_requests(method: str, path: str, *, expected: bool) -> None:
    assert is_commit(Request(method, path)) is expected
