"""What an upgrade changes, and what it must not: Kubernetes refuses some changes, and others would lose a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.deploy.chart.rendering import VALUES, label, manifests, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.chart.rendering import Manifest

_FIXED = {
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "Deployment": ("selector",),
    "Service": ("clusterIP", "selector"),
    "ServiceAccount": (),
}
# one of each kind of change an operator makes
UPGRADES = {
    "another tag": ('image.tag="9.9.9"',),
    "more replicas": ("defaults.replicas=7",),
    "scaled by KEDA": ("enricher.autoscaling.enabled=true", "writer.autoscaling.enabled=true"),
    "other resources": ('defaults.tmpSize="1Gi"', 'enricher.resources={"limits":{"memory":"4Gi"}}'),
    "longer drain": ("defaults.drainTimeoutSeconds=60",),
    "an own image": ('enricher.image={"repository":"own-enricher","tag":"1"}',),
}


def problems() -> list[str]:
    """What an upgrade changes that has to stay, in words."""
    before = _by_label(render(VALUES["default"]))
    found = []
    for name, settings in UPGRADES.items():
        after = _by_label(render(VALUES["default"], *settings, upgrade=True))
        found += [f"{name}: {problem}" for problem in _lost(before, after)]
        found += [f"{name}, rolled back: {problem}" for problem in _lost(after, before)]
    return [*found, *_changed_by_tag(before)]


def _lost(before: dict[str, Manifest], after: dict[str, Manifest]) -> Iterator[str]:
    for name, manifest in before.items():
        if manifest["kind"] not in _FIXED:
            continue
        if name not in after:
            yield f"{name} is gone"
            continue
        for field in _FIXED[manifest["kind"]]:
            if manifest["spec"].get(field) != after[name]["spec"].get(field):
                yield f"{name} has another {field}"


def _changed_by_tag(before: dict[str, Manifest]) -> Iterator[str]:
    """Another tag changes images and the label that tells it, and no other thing anywhere."""
    after = _by_label(render(VALUES["default"], 'image.tag="9.9.9"', upgrade=True))
    version = next(iter(before.values()))["metadata"]["labels"]["app.kubernetes.io/version"]
    for name, manifest in after.items():
        if str(manifest).replace("9.9.9", version) != str(before[name]):
            yield f"another tag changes more of {name} than its tag"


def _by_label(text: str) -> dict[str, Manifest]:
    """The objects by what names them; the set-up job is named by what it runs, so that another one is another job."""
    found = {}
    for manifest in manifests(text):
        if manifest["kind"] == "Job":
            manifest["metadata"]["name"] = manifest["metadata"]["name"].rpartition("-")[0]
        found[label(manifest)] = manifest
    return found
