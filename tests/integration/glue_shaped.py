"""A server shaped like Glue's Iceberg REST endpoint: checks each request's signature, then asks a real catalog.

Glue's own answers cannot be had here. What is proven: the writer's requests are signed for ``glue`` as AWS verifies
them, go to the prefix the configuration names, and say where a new table goes.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from headgate_local.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, REGION = "123456789012", "eu-central-1"
ACCESS_KEY, SECRET_KEY = "signer", "signer-secret"
ROOT = "/iceberg"
PREFIX = f"catalogs/{ACCOUNT}"
PASSED_ON = ("content-type", "accept", "x-iceberg-access-delegation")


class GlueShaped(ThreadingHTTPServer):
    """The server; ``properties`` open it.

    Attributes:
        created: Locations that requests for new tables named; None where one named none.
    """

    daemon_threads = True

    def __init__(self, real: dict[str, str]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.created: list[str | None] = []
        self.backend = httpx.Client(base_url=real["uri"], trust_env=False)
        name, secret = real["credential"].split(":")
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        token = self.backend.post(real["oauth2-server-uri"], data=form).raise_for_status().json()["access_token"]
        self.backend.headers["Authorization"] = f"Bearer {token}"
        self.backend_prefix = real["warehouse"].removeprefix("s3://")
        own = {key: value for key, value in real.items() if key.startswith("s3.")}
        self.properties = own | {
            "name": "glue",
            "type": "rest",
            "uri": f"http://{HOST}:{self.server_port}{ROOT}",
            "warehouse": ACCOUNT,
            "rest.sigv4-enabled": "true",
            "rest.signing-name": "glue",
            "rest.signing-region": REGION,
            "client.access-key-id": ACCESS_KEY,
            "client.secret-access-key": SECRET_KEY,
            "headgate.location": real["warehouse"],
        }


@contextmanager
def running(real: dict[str, str]) -> Iterator[GlueShaped]:
    """Run the server before the catalog that these properties open."""
    with GlueShaped(real) as server:
        thread = threading.Thread(target=server.serve_forever, name="glue-shaped")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.backend.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GlueShaped

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = urlsplit(self.path).path.removeprefix(ROOT)
        if not self._signed(body):
            self._answer(403, json.dumps({"error": {"message": "bad signature", "type": "Forbidden", "code": 403}}))
        elif path == "/v1/config":
            self._answer(200, json.dumps({"defaults": {"prefix": PREFIX}, "overrides": {}}))
        else:
            self._pass_on(path, body)

    def _pass_on(self, path: str, body: bytes) -> None:
        if self.command == "POST" and path.endswith("/tables"):
            self.server.created.append(json.loads(body)["location"])
        path = path.replace(f"/{PREFIX}/", f"/{self.server.backend_prefix}/", 1)
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        answer = self.server.backend.request(self.command, path, content=body, headers=headers)
        self._answer(answer.status_code, answer.text)

    def _answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _signed(self, body: bytes) -> bool:
        """Whether the signature is what the account's secret makes of this request, for Glue in this region."""
        given = self.headers.get("Authorization", "")
        signed = dict(part.split("=", 1) for part in given.partition(" ")[2].split(", ") if "=" in part)
        if f"/{REGION}/glue/aws4_request" not in signed.get("Credential", ""):
            return False
        address = urlsplit(f"http://{self.headers['Host']}{self.path}")
        headers = {name: self.headers[name] for name in signed["SignedHeaders"].split(";")}
        request = AWSRequest(
            method=self.command,
            url=address._replace(query="").geturl(),
            params=dict(parse_qsl(address.query)),
            data=body,
            headers=headers,
        )
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "glue", REGION)
        to_sign = auth.string_to_sign(request, auth.canonical_request(request))
        return bool(auth.signature(to_sign, request) == signed["Signature"])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
