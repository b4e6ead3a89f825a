"""The root module, applied to moto: what moto has of AWS is made, read back and destroyed."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
import yaml
from headgate_local.http_ready import http_not_ready
from headgate_local.ports import HOST, choose_ports
from headgate_local.processes import ProcessSpec, ServiceProcess

from tests.deploy.aws.workspace import WORK, clean, run
from tests.deploy.tools import DEPLOY_BIN, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION: Final = "eu-central-1"
BROKERS: Final = f"arn:aws:kafka:{REGION}:123456789012:cluster/headgate/0a1b2c3d-5"
SERVICES: Final = ("cloudwatch", "ec2", "ecr", "glue", "iam", "kms", "logs", "s3", "sns", "sts")
# moto has no MSK configuration, EKS add-on, Pod Identity, S3 metric, Lake Formation opt-in nor tag of a budget: the modules'
# own tests have those.
APPLIED: Final = (
    "module.ecr",
    "module.identity.aws_iam_role_policy.service",
    "module.key",
    "module.lakehouse.aws_glue_catalog_database.this",
    "module.lakehouse.aws_s3_bucket_lifecycle_configuration.this",
    "module.lakehouse.aws_s3_bucket_ownership_controls.this",
    "module.lakehouse.aws_s3_bucket_policy.this",
    "module.lakehouse.aws_s3_bucket_public_access_block.this",
    "module.lakehouse.aws_s3_bucket_server_side_encryption_configuration.this",
    "module.lakehouse.aws_s3_bucket_versioning.this",
    "module.network",
    "module.observability",
)
VARIABLES: Final = {
    "region": REGION,
    "zones": [f"{REGION}{zone}" for zone in "abc"],
    "kubernetes": {"admin_role_arns": ["arn:aws:iam::123456789012:role/platform"]},
    "models": [{"id": "eu.amazon.nova-micro-v1:0"}],
    "alarm_emails": ["on-call@example.com"],
    "monthly_limit_usd": 2500,
    "models_monthly_limit_usd": 500,
}


class Account:
    """An AWS account that moto plays.

    Args:
        url: Where moto listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """A boto3 client of one service."""
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="moto", aws_secret_access_key="moto"
        )


@contextmanager
def account() -> Iterator[Account]:
    """An empty account, while the context lasts; raises as ``tool`` where moto is not installed."""
    port = choose_ports(["moto"], {})["moto"]
    url = f"http://{HOST}:{port}"
    spec = ProcessSpec(
        "moto",
        [tool(DEPLOY_BIN / "moto_server"), "-H", HOST, "-p", str(port)],
        WORK,
        lambda: http_not_ready(f"{url}/moto-api/"),
    )
    moto = ServiceProcess(spec)
    moto.start()
    try:
        moto.wait_ready()
        yield Account(url)
    finally:
        moto.stop()


def apply(root: Path, url: str) -> bool:
    """Apply to the account behind ``url``, in a copy's root module; whether it worked and a second plan changes nothing."""
    _stand_in_for_brokers(root)
    (root / "mocked_override.tf.json").write_text(json.dumps(_overrides(url)), encoding="utf-8")
    (root / "mocked.auto.tfvars.json").write_text(json.dumps(VARIABLES), encoding="utf-8")
    return (
        clean(["terraform", "init", "-input=false", "-no-color", "-reconfigure"], root)
        and clean(["terraform", "apply", "-auto-approve", *_options()], root)
        and clean(["terraform", "plan", "-detailed-exitcode", *_options()], root)
    )


def helm_values(root: Path) -> Any:
    """The values for the chart, as ``make values-eks`` writes them, of what was applied."""
    return yaml.safe_load(run(["terraform", "output", "-raw", "helm_values"], root).stdout)


def destroy(root: Path) -> bool:
    """Destroy all that ``apply`` made; whether that worked."""
    return clean(["terraform", "destroy", "-auto-approve", "-input=false", "-no-color"], root)


def _stand_in_for_brokers(root: Path) -> None:
    """A module with the variables and outputs of modules/msk that makes nothing."""
    module = root / "modules" / "mocked_msk"
    module.mkdir(exist_ok=True)
    shutil.copy(root / "modules" / "msk" / "variables.tf", module)
    outputs = {
        "arn": BROKERS,
        "name": "headgate",
        "bootstrap_servers": ",".join(f"b-{number}.example:9098" for number in (1, 2, 3)),
        "scram_bootstrap_servers": "",
    }
    described = {"output": {name: {"value": value} for name, value in outputs.items()}}
    (module / "outputs.tf.json").write_text(json.dumps(described), encoding="utf-8")


def _options() -> list[str]:
    return ["-input=false", "-no-color", *(f"-target={address}" for address in APPLIED)]


def _overrides(url: str) -> dict[str, Any]:
    provider = {
        "access_key": "moto",
        "secret_key": "moto",
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "endpoints": [dict.fromkeys(SERVICES, url)],
    }
    return {
        "terraform": {"backend": {"local": {}}},
        "provider": {"aws": provider},
        "module": {
            "identity": {"cluster_name": "headgate"},
            "msk": {"source": "./modules/mocked_msk"},
        },
    }
