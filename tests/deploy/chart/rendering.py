"""Renders the chart with sets of values, by helm itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.deploy.tools import ROOT, TOOLS, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHART = ROOT / "helm" / "headgate"
# the oldest version the chart takes, and newer ones
KUBERNETES = ("1.33", "1.35", "1.37")
VALUES = {
    "default": ("ci/default-values.yaml",),
    "eks": ("values-eks.yaml", "ci/eks-values.yaml"),
    "local": ("values-local.yaml",),
    "full": ("ci/full-values.yaml",),
}
"""Files of values by the name of their set: the least; EKS as Terraform fills it; a laptop; everything there is."""

Manifest = dict[str, Any]


def render(values: Iterable[str | Path], *settings: str, upgrade: bool = False) -> str:
    """The manifests helm would apply for a release headgate; ``values`` are files, from the chart's folder.

    Raises:
        ToolError: The values are refused.
    """
    files = [flag for file in values for flag in ("--values", str(CHART / file))]
    version = f"v{KUBERNETES[0]}.0"
    named = [flag for setting in settings for flag in ("--set-json", setting)]
    flags = ["--namespace", "headgate", "--kube-version", version, *(["--is-upgrade"] if upgrade else [])]
    return run(TOOLS / "helm", "template", "headgate", CHART, *flags, *files, *named)


def manifests(text: str) -> list[Manifest]:
    """The objects of a rendered text."""
    return [each for each in yaml.safe_load_all(text) if each]


def label(manifest: Manifest) -> str:
    """What names an object: its kind and name."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pods(all_manifests: Iterable[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Every object that makes pods, with the pod's spec."""
    for manifest in all_manifests:
        if manifest["kind"] == "Pod":
            yield manifest, manifest["spec"]
        elif manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield manifest, manifest["spec"]["template"]["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    """A pod's containers, those that run before the others too."""
    return [*pod.get("initContainers", []), *pod["containers"]]
