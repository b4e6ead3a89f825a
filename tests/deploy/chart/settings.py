"""Whether what the chart tells a container are settings that its service has, with values it takes."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from headgate_runtime.config import unknown_variables
from pydantic import ValidationError

from tests.deploy.chart.rendering import containers, label, pods

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_settings import BaseSettings

    from tests.deploy.chart.rendering import Manifest

SETTINGS = {
    "HEADGATE_PRODUCER_": "headgate_producer.config:Settings",
    "HEADGATE_ENRICHER_": "headgate_enricher.config:Settings",
    "HEADGATE_REVIEWS_": "headgate_enricher.reviews.config:Settings",
    "HEADGATE_PROCESSOR_": "headgate_processor.config:Settings",
    "HEADGATE_WRITER_": "headgate_writer.config:Settings",
    "HEADGATE_BEDROCK_LOCAL_": "headgate_bedrock_local.config:Settings",
    "HEADGATE_ADMIN_": "headgate_admin.config:AdminSettings",
}
# in place of what only the cluster knows: a pod's name, a Secret's content
_REFERENCED = {"CATALOG": '{"name": "lake"}', "INSTANCE": "headgate-0"}
# what libraries read, not services
FOREIGN = ("OTEL_", "AWS_", "APICURIO_", "QUARKUS_", "SMALLRYE_", "JAVA_")


def problems(manifests: Iterable[Manifest]) -> list[str]:
    """What is wrong with the environment of each container, in words."""
    return [
        f"{label(manifest)}, container {container['name']}: {problem}"
        for manifest, pod in pods(manifests)
        for container in containers(pod)
        for problem in _problems({each["name"]: _value(each) for each in container.get("env", [])})
    ]


def _problems(environment: dict[str, str]) -> Iterator[str]:
    ours = {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}
    by_prefix = {prefix: [name for name in ours if name.startswith(prefix)] for prefix in SETTINGS}
    for name in sorted(set(ours).difference(*by_prefix.values())):
        yield f"{name} is no service's"
    for prefix, names in by_prefix.items():
        if not names:
            continue
        try:
            yield from _refused(_settings_type(prefix), {name: ours[name] for name in names})
        except ModuleNotFoundError as error:
            yield f"{prefix}... has no settings to be held against: {error}"


def _refused(settings_type: type[BaseSettings], environment: dict[str, str]) -> Iterator[str]:
    for name, meant in unknown_variables(settings_type, environment).items():
        yield f"{name} is no setting: did you mean {meant}?"
    try:
        with patch.dict(os.environ, environment, clear=True):
            settings_type()
    except ValidationError as error:
        yield str(error)


def _settings_type(prefix: str) -> type[BaseSettings]:
    module, _, name = SETTINGS[prefix].partition(":")
    settings_type: type[BaseSettings] = getattr(import_module(module), name)
    return settings_type


def _value(variable: dict[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    return next((value for end, value in _REFERENCED.items() if variable["name"].endswith(end)), "referenced")
