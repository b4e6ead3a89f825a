"""Loopback ports that stay the same from run to run where they can."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"


def choose_ports(names: Iterable[str], remembered: Mapping[str, int]) -> dict[str, int]:
    """Give each name its remembered port where that is free, else a free one; no two get the same."""
    with ExitStack() as held:
        ports: dict[str, int] = {}
        # remembered ports first: a port the system picks for one name must not be the one another remembers
        for name in sorted(names, key=lambda name: name not in remembered):
            listener = held.enter_context(_bound(remembered.get(name, 0)))
            ports[name] = listener.getsockname()[1]
        return ports


def answers(port: int, timeout_s: float = 0.3) -> bool:
    """Whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection((HOST, port), timeout_s):
            return True
    except OSError:
        return False


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    # connections of the last run may still be in TIME_WAIT: that does not make its port taken
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.bind((HOST, 0))
    return listener
