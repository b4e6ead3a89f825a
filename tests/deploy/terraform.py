"""Terraform: format, the modules' own tests, checkov, the contracts as it reads them, and an apply to a mocked AWS.

Needs Terraform 1.11 on the PATH with its AWS provider within reach, and ``make tools``. No account is touched.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from headgate_schemas import Contracts
from headgate_writer.schema import POSITION_COLUMNS

from tests.deploy.aws.findings import findings, leftovers, refused_values
from tests.deploy.aws.mocked import account, apply, destroy, helm_values
from tests.deploy.aws.workspace import clean, copy, modules, run, say
from tests.deploy.tools import DEPLOY_BIN, ROOT, tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SOURCE: Final = ROOT / "deploy" / "terraform"
# Services whose group makes the name of their transactions and groups in the policies.
GROUPS: Final = {
    "enricher": "headgate_enricher.config",
    "processor": "headgate_processor.config",
    "reviews": "headgate_enricher.reviews.config",
    "writer": "headgate_writer.config",
}


def check() -> Mapping[str, float]:
    """Check everything; what is wrong is printed."""
    root = copy()
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        tested = all(list(pool.map(_tested, modules(root))))
    return {
        "formatted": float(clean(["terraform", "fmt", "-check", "-diff", "-recursive", "."], SOURCE)),
        "checkov": float(_scanned()),
        "modules_tested": float(tested),
        "contracts_read_alike": float(not _printed(_differences(root / "modules" / "contracts"))),
        "names_alike": float(not _printed(_other_names())),
        "applied_to_mock": float(_applied(root)),
        "took_s": time.monotonic() - began,
    }


def _scanned() -> bool:
    """Whether checkov finds nothing; what is let pass says why beside the resource."""
    command = [tool(DEPLOY_BIN / "checkov"), "--directory", ".", "--framework", "terraform", "--quiet", "--compact"]
    return clean([*command, "--skip-download"], SOURCE)


def _tested(module: Path) -> bool:
    """Whether a module passes its own tests, which it has to have; Terraform validates it before it runs them."""
    if not list(module.glob("*.tftest.hcl")):
        say(f"{module.name} has no *.tftest.hcl")
        return False
    return clean(["terraform", "init", "-backend=false", "-input=false", "-no-color"], module) and clean(
        ["terraform", "test", "-no-color"], module
    )


def _differences(module: Path) -> Iterator[str]:
    """Where the contracts module does not read what the schemas package reads."""
    directory = module.parents[3] / "schemas"
    run(["terraform", "apply", "-auto-approve", "-input=false", f"-var=directory={directory}"], module)
    outputs: dict[str, Any] = json.loads(run(["terraform", "output", "-json"], module).stdout)
    contracts = Contracts.load(ROOT / "schemas")
    topics = contracts.topics.values()
    services = {
        name: {
            "produces": sorted(topic.topic for topic in topics if name in topic.producers),
            "consumes": sorted(topic.topic for topic in topics if name in topic.consumers),
        }
        for name in {name for topic in topics for name in (*topic.producers, *topic.consumers)}
    }
    columns = {str(topic.table.name): _columns(contracts, topic.record) for topic in topics if topic.table is not None}
    for name, wanted in (("services", services), ("columns", columns)):
        if outputs[name]["value"] != wanted:
            yield f"{name}: Terraform reads {outputs[name]['value']}, and the schemas package {wanted}"


def _columns(contracts: Contracts, record: str) -> dict[str, str]:
    """A record's columns by the most personal field inside each."""
    schema = contracts.record(record)
    inside = [(re.split(r"[.\[{]", path)[0], tag) for path, tag in schema.pii.items()]
    return {
        field["name"]: next((tag for tag in ("direct", "quasi") if (field["name"], tag) in inside), "none")
        for field in schema.schema["fields"]
    }


def _other_names() -> Iterator[str]:
    """Names that services have in their code and the modules in theirs, where these differ."""
    own = POSITION_COLUMNS.names
    text = (SOURCE / "modules" / "governance" / "main.tf").read_text(encoding="utf-8")
    if not all(f'"{name}"' in text for name in own):
        yield f"the writer adds the columns {own}: modules/governance/main.tf tags others"
    for service, module in GROUPS.items():
        group = import_module(module).Settings.model_fields["group_id"].default
        if group != service:
            yield f"the {service}'s group is {group!r}: modules/identity/kafka.tf lets it use {service!r}"


def _applied(root: Path) -> bool:
    with account() as mocked:
        return (
            apply(root, mocked.url)
            and not _printed(findings(mocked))
            and not _printed(refused_values(helm_values(root)))
            and destroy(root)
            and not _printed(leftovers(mocked))
        )


def _printed(problems: Iterator[str] | list[str]) -> list[str]:
    found = list(problems)
    for problem in found:
        say(problem)
    return found
