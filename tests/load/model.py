"""The local model endpoint's knobs and counters."""

from __future__ import annotations

from typing import Any

import httpx

TIMEOUT_S = 10.0
EVERY_CALL_IS_MADE = {"HEADGATE_ENRICHER_CACHED_ANSWERS": "0"}
"""Environment of an enricher under load: events of a pool come again and again, and each is to be asked about."""


class Model:
    """Talks to the admin calls of a local Bedrock endpoint."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def faults(self, **knobs: float) -> None:
        """Set the knobs; one left out goes back to no fault."""
        self._http.put("/admin/faults", json=knobs).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """The counters since the last reset."""
        counters: dict[str, Any] = self._http.get("/admin/stats").raise_for_status().json()
        return counters

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
