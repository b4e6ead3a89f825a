"""Whether objects are what their schemas say: Kubernetes' own for several versions, and those of custom resources."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator

from tests.deploy.chart.rendering import label
from tests.deploy.tools import DEPLOY_BIN, TOOLS, ToolError, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.deploy.chart.rendering import Manifest

CRDS = TOOLS / "crds"


def custom(manifest: Manifest) -> bool:
    """Whether an object is of a kind that Kubernetes itself does not have."""
    group = manifest["apiVersion"].partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def kubernetes_problems(manifests: Iterable[Manifest], version: str) -> list[str]:
    """What Kubernetes of a version would refuse, fields it does not know among it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all([each for each in manifests if not custom(each)], file)
        file.flush()
        flags = ["--strict", "--no-warn", "--quiet", "--kubernetes-version", version]
        try:
            run(DEPLOY_BIN / "kubernetes-validate", *flags, file.name)
        except ToolError as error:
            return [str(error)]
    return []


def custom_problems(manifests: Iterable[Manifest]) -> list[str]:
    """What a custom resource's definition refuses or does not know; a kind that there is no definition of, too."""
    known = {(each["spec"]["group"], each["spec"]["names"]["kind"]): each for each in _definitions()}
    found = []
    for manifest in filter(custom, manifests):
        group, _, version = manifest["apiVersion"].partition("/")
        definition = known.get((group, manifest["kind"]))
        if definition is None:
            found.append(f"{label(manifest)}: no definition in requirements/crds.txt")
            continue
        served = [each for each in definition["spec"]["versions"] if each["name"] == version and each["served"]]
        if not served:
            found.append(f"{label(manifest)}: {version} is not served")
            continue
        schema = _closed(served[0]["schema"]["openAPIV3Schema"])
        errors = Draft202012Validator(schema).iter_errors(manifest)
        found += [f"{label(manifest)}: {'/'.join(map(str, each.absolute_path))}: {each.message}" for each in errors]
    return found


def _definitions() -> Iterator[Manifest]:
    paths = sorted(CRDS.glob("*.yaml"))
    if not paths:
        raise ToolError(f"{CRDS} holds no definitions: run `make tools`")
    yield from (yaml.safe_load(path.read_text("utf-8")) for path in paths)


def _closed(schema: Any, *, top: bool = True) -> Any:
    """A structural schema that refuses what Kubernetes would silently drop: fields it does not name."""
    if isinstance(schema, list):
        return [_closed(each, top=False) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: value for name, value in schema.items() if name not in {"properties", "format"}}
    closed = {name: _closed(value, top=False) for name, value in closed.items()}
    if "properties" in schema:
        closed["properties"] = {name: _closed(value, top=False) for name, value in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    if top:
        closed["properties"]["metadata"] = {"type": "object"}
    return closed
