"""What every pod of the chart has to be: restricted, bounded, probed, fenced off, drained, and without a volume to lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.deploy.chart.rendering import containers, label, pods

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.deploy.chart.rendering import Manifest

UID = 10001
# docs/architecture.md: what a service may take beyond the time it drains, where brokers do not answer
CLOSING_S = 20
_POD = {"runAsNonRoot": True, "runAsUser": UID, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_BOUNDED = {"cpu", "memory", "ephemeral-storage"}
_PROBES = {"startupProbe", "livenessProbe", "readinessProbe"}
_RUNS_ONCE = {"Job", "Pod"}


def problems(manifests: list[Manifest]) -> list[str]:
    """Where a pod is not so, in words."""
    found = [
        f"{label(manifest)}: {problem}"
        for manifest, pod in pods(manifests)
        for problem in (*_of_pod(pod), *_of_kind(manifest, pod), *_of_companions(manifest, pod, manifests))
    ]
    kept = [m for m in manifests if m["kind"] in {"PersistentVolumeClaim", "Secret", "Role", "ClusterRole"}]
    return [*found, *(f"{label(manifest)}: the chart has no such thing" for manifest in kept)]


def _of_pod(pod: Manifest) -> Iterator[str]:
    yield from _unlike(pod["securityContext"], _POD)
    if pod["automountServiceAccountToken"] is not False:
        yield "mounts a token of the cluster's API"
    for container in containers(pod):
        name = container["name"]
        yield from (f"{name}: {problem}" for problem in _unlike(container["securityContext"], _CONTAINER))
        for kind in ("requests", "limits"):
            if missing := _BOUNDED - set(container["resources"].get(kind, {})):
                yield f"{name} has no {kind} of {', '.join(sorted(missing))}"
    for volume in pod["volumes"]:
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} has no bound"


def _of_kind(manifest: Manifest, pod: Manifest) -> Iterator[str]:
    main = pod["containers"][0]
    if manifest["kind"] in _RUNS_ONCE:
        return
    if missing := _PROBES - set(main):
        yield f"{main['name']} has no {', '.join(sorted(missing))}"
    drains = [each["value"] for each in main["env"] if each["name"].endswith("_DRAIN_TIMEOUT_S")]
    if drains and pod["terminationGracePeriodSeconds"] <= int(drains[0]) + CLOSING_S:
        yield f"is killed after {pod['terminationGracePeriodSeconds']} s, before it has drained and closed"
    if manifest["kind"] == "StatefulSet" and manifest["spec"].get("volumeClaimTemplates"):
        yield "claims volumes, and its state is rebuilt from Kafka"


def _of_companions(manifest: Manifest, pod: Manifest, manifests: Iterable[Manifest]) -> Iterator[str]:
    labels = {
        **manifest["metadata"]["labels"],
        **manifest["spec"].get("template", {}).get("metadata", {}).get("labels", {}),
    }
    kinds = {"NetworkPolicy"} if manifest["kind"] in _RUNS_ONCE else {"NetworkPolicy", "PodDisruptionBudget", "Service"}
    for kind in sorted(kinds):
        selectors = [_selector(each) for each in manifests if each["kind"] == kind]
        component = labels["app.kubernetes.io/component"]
        if not any(
            s.get("app.kubernetes.io/component") == component and s.items() <= labels.items() for s in selectors
        ):
            yield f"has no {kind}"
    names = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    if pod["serviceAccountName"] not in names:
        yield f"has no ServiceAccount {pod['serviceAccountName']}"


def _selector(manifest: Manifest) -> dict[str, str]:
    spec = manifest["spec"]
    chosen = spec["selector"] if manifest["kind"] == "Service" else spec.get("podSelector", spec.get("selector"))
    selector: dict[str, str] = chosen.get("matchLabels", chosen)
    return selector


def _unlike(actual: Mapping[str, object], wanted: Mapping[str, object]) -> Iterator[str]:
    for name, value in wanted.items():
        if actual.get(name) != value:
            yield f"{name} is {actual.get(name)!r} and has to be {value!r}"
