"""What gives a pod its AWS credentials, on this machine: the agent of EKS Pod Identity as an SDK sees it.

Source: AWS SDKs reference guide, "Container credential provider".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headgate_runtime.testing.json_server import JsonServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class PodIdentity(JsonServer):
    """Gives new credentials to whoever shows the token that is in the file now.

    Attributes:
        lifetime: Of what it gives.
        given: How many credentials it gave; the last has the access key ``key-<given>``.
    """

    def __init__(self, token_file: Path, lifetime: timedelta = timedelta(hours=6)) -> None:
        super().__init__()
        self.lifetime = lifetime
        self.given = 0
        self._token_file = token_file

    def environment(self) -> dict[str, str]:
        """Variables that EKS sets in a pod, and those that keep an SDK from looking anywhere else first."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self._token_file),
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_CONFIG_FILE": "/nonexistent",
        }

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:  # noqa: ARG002 - there is one path
        """Return credentials, or 401."""
        if headers.get("Authorization") != self._token_file.read_text(encoding="utf-8"):
            return 401, {"code": "Unauthorized", "message": "not the pod's token"}
        self.given += 1
        ends = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, {
            "AccessKeyId": f"key-{self.given}",
            "SecretAccessKey": "secret",
            "Token": f"session-{self.given}",
            "Expiration": ends,
        }
