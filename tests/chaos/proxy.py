"""A proxy that makes HTTP servers fail: away for a while as a whole, or for some requests by chance.

It stands between a client and one server on this machine. ``proxy.set(Fault.HANG)`` changes what happens to every request
from then on; ``chances`` says how often a matching request is struck while nothing else is set.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

from headgate_local.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

START_TIMEOUT_S = 10.0
_HEAD_LIMIT = 1 << 20
_COMMIT = re.compile(r"^/v1/.+/namespaces/[^/]+/tables/[^/]+$")
_AWAY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\naway"


class Fault(Enum):
    """What becomes of a request."""

    NONE = auto()  # passed on, and its answer back
    REFUSE = auto()  # no connection is taken, and those there are break off; for all requests only
    HANG = auto()  # taken and kept; passed on once something else is set, as by a server that was frozen
    UNAVAILABLE = auto()  # answered 503
    LOSE_REQUEST = auto()  # never arrives; the connection breaks off
    LOSE_ANSWER = auto()  # arrives and takes effect; the connection breaks off


@dataclass(frozen=True, slots=True)
class Request:
    """What a request may be chosen by."""

    method: str
    path: str


def is_commit(request: Request) -> bool:
    """Whether an Iceberg REST catalog is asked to commit to a table."""
    return request.method == "POST" and _COMMIT.match(request.path.partition("?")[0]) is not None


@dataclass
class _Message:
    """A request or an answer as it came: head and body, ready to be sent on."""

    head: bytes
    body: bytes = b""

    @property
    def start(self) -> list[str]:
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)

    def header(self, name: str) -> str:
        """A header's value in lower case; empty where there is none."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name:
                return value.strip().lower()
        return ""


@dataclass
class FaultProxy:
    """A context manager; listens on a port of its own that stays the same.

    Attributes:
        target: Port of the server.
        chances: How often, 0 to 1, a matching request meets each fault; may be set anew at any time.
        only: Which requests the chances are for; all.
        seed: Of the chances.
        struck: How many requests met each fault, those that were passed on included.
        under_way: Requests that have come and are not done with.
    """

    target: int
    chances: Mapping[Fault, float] = field(default_factory=dict)
    only: Callable[[Request], bool] = lambda _: True
    seed: int = 0
    struck: Counter[Fault] = field(default_factory=Counter)
    under_way: int = 0

    def __post_init__(self) -> None:
        self.port = 0
        self._draw = random.Random(self.seed)  # noqa: S311 - guards nothing
        self._fault = Fault.NONE
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self.port}"

    def set(self, fault: Fault) -> None:
        """Let this happen to every request from now on; NONE leaves them to chance. From any thread."""
        asyncio.run_coroutine_threadsafe(self._set(fault), self._loop).result(START_TIMEOUT_S)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(START_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(START_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _set(self, fault: Fault) -> None:
        self._fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault is Fault.REFUSE:
            await self._hang_up()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=_HEAD_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served outside of a task")
        self._clients.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                async with _Upstream(self.target) as upstream:
                    while await self._exchange(reader, writer, upstream):
                        pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: _Upstream) -> bool:
        """Serve one request; returns whether the connection goes on."""
        request = await _read(reader, writer)
        self.under_way += 1
        try:
            return await self._treat(request, writer, upstream)
        finally:
            self.under_way -= 1

    async def _treat(self, request: _Message, writer: asyncio.StreamWriter, upstream: _Upstream) -> bool:
        method, path, _ = request.start
        fault = self._fault
        if fault is Fault.NONE:
            fault = self._by_chance(Request(method, path))
        self.struck[fault] += 1
        if fault is Fault.LOSE_REQUEST:
            return False
        if fault is Fault.UNAVAILABLE:
            writer.write(_AWAY)
            return True
        if fault is Fault.HANG:
            await self._released()
        answer = await upstream.ask(request, bodiless=method == "HEAD")
        if fault is Fault.LOSE_ANSWER:
            return False
        writer.write(answer.head + answer.body)
        await writer.drain()
        return "close" not in (request.header("connection"), answer.header("connection"))

    def _by_chance(self, request: Request) -> Fault:
        if not self.chances or not self.only(request):
            return Fault.NONE
        left = self._draw.random()
        for fault, chance in self.chances.items():
            left -= chance
            if left < 0:
                return fault
        return Fault.NONE

    async def _released(self) -> None:
        await self._changed.wait()
        while self._fault is Fault.HANG:
            await self._changed.wait()


class _Upstream:
    """The server's side of one client's connection, opened when first needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: _Message, *, bodiless: bool) -> _Message:
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection(HOST, self._port, limit=_HEAD_LIMIT)
        reader, writer = self._streams
        writer.write(request.head + request.body)
        await writer.drain()
        while True:
            answer = await _read(reader, bodiless=bodiless)
            if not answer.start[1].startswith("1"):
                return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _read(
    reader: asyncio.StreamReader, asking: asyncio.StreamWriter | None = None, *, bodiless: bool = False
) -> _Message:
    """Read a message whole; ``asking`` is a client that may wait for leave to send its body."""
    message = _Message(await reader.readuntil(b"\r\n\r\n"))
    if asking is not None and message.header("expect") == "100-continue":
        asking.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if bodiless or message.start[1] in {"204", "304"}:
        return message
    if message.header("transfer-encoding") == "chunked":
        message.body = await _chunks(reader)
    elif length := int(message.header("content-length") or 0):
        message.body = await reader.readexactly(length)
    return message


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        parts.append(line)
        if size == 0:
            break
        parts.append(await reader.readexactly(size + 2))
    while parts[-1] != b"\r\n":  # trailers end with an empty line
        parts.append(await reader.readuntil(b"\r\n"))
    return b"".join(parts)
