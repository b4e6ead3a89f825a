"""A small HTTP server on this machine that answers GET requests with JSON."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class JsonServer(ABC):
    """Answers while it is entered.

    Attributes:
        url: Its address.
        asked: Paths it was asked for, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self._server: ThreadingHTTPServer | None = None

    @abstractmethod
    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Return status and document of an answer."""

    def __enter__(self) -> Self:
        asked, answer = self.asked, self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, document = answer(self.path, dict(self.headers))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), name=type(self).__name__, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
