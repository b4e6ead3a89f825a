"""Asks a service over HTTP whether it is ready."""

from __future__ import annotations

import httpx


def http_not_ready(url: str, timeout_s: float = 2.0) -> str | None:
    """Why ``url`` does not answer 200 yet (its answer, or why there is none); None when it does."""
    try:
        # trust_env=False: a proxy of the environment must not stand between us and the loopback
        reply = httpx.get(url, timeout=timeout_s, trust_env=False)
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None if reply.status_code == httpx.codes.OK else f"{url}: {reply.status_code} {reply.text[:200]}"
