"""Asks the service of this container whether it is alive: what an image's HEALTHCHECK runs. It has no shell and no curl."""

from __future__ import annotations

import http.client
import sys

PORT = 8080
TIMEOUT_S = 3.0


def healthy(port: int = PORT) -> bool:
    """Whether ``GET /healthz`` answers 200; asked without a proxy, whatever the environment names."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not healthy())
