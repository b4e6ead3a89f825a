"""A table's positions as the catalog tells them, some times a second: without a client, its cache and its weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from headgate_local import seaweedfs
from headgate_writer.positions import PROPERTY, Positions

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 10.0


class Heads:
    """Looks at the head of a table in SeaweedFS's catalog; the last positions hold where a snapshot names none.

    Args:
        catalog: Properties of the catalog.
        table: Name with namespace.
        topic: The topic whose positions are wanted.
    """

    def __init__(self, catalog: Mapping[str, str], table: str, topic: str) -> None:
        namespace, _, name = table.rpartition(".")
        warehouse = catalog["warehouse"].removeprefix("s3://")
        self._path = f"/v1/{warehouse}/namespaces/{namespace}/tables/{name}"
        self._topic = topic
        self._http = httpx.Client(base_url=catalog["uri"], timeout=TIMEOUT_S, trust_env=False)
        self._known: dict[int, int] = {}

    def positions(self) -> dict[int, int]:
        """Next offset to store by partition."""
        metadata = self.metadata()
        head = metadata.get("current-snapshot-id")
        snapshot = next((each for each in metadata.get("snapshots", ()) if each["snapshot-id"] == head), {})
        if text := snapshot.get("summary", {}).get(PROPERTY):
            own = [offsets for life, offsets in Positions.parse(text).topics.items() if life.topic == self._topic]
            self._known = dict(own[0]) if own else {}
        return self._known

    def metadata(self) -> dict[str, Any]:
        """The table's metadata as JSON."""
        answer = self._http.get(self._path)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            self._authorize()
            answer = self._http.get(self._path)
        metadata: dict[str, Any] = answer.raise_for_status().json()["metadata"]
        return metadata

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _authorize(self) -> None:
        key = {"client_id": seaweedfs.ACCESS_KEY, "client_secret": seaweedfs.SECRET_KEY}
        answer = self._http.post("/v1/oauth/tokens", data={"grant_type": "client_credentials", **key})
        self._http.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
