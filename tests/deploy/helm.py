"""The Helm chart: rendered by helm, held against Kubernetes, against policies, and against what services take."""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import TYPE_CHECKING

from rich.console import Console

from tests.deploy.chart import changes, kept, policies, refusals, restricted, settings
from tests.deploy.chart.registry import registry_figures
from tests.deploy.chart.rendering import CHART, KUBERNETES, VALUES, manifests, render
from tests.deploy.chart.schemas import custom_problems, kubernetes_problems
from tests.deploy.tools import ROOT, TOOLS, ToolError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.chart.rendering import Manifest

LAPTOP = ROOT / "deploy" / "kind" / "stack.yaml"


def check() -> Mapping[str, float]:
    """Figures: 1 for each thing that is as it has to be, for all sets of values together."""
    console = Console(stderr=True)
    figures: dict[str, float] = {}
    for name, look in _looks().items():
        try:
            problems = look()
        except ToolError as error:
            problems = [str(error)]
        for problem in problems:
            console.print(f"{name}: {problem}", markup=False)
        figures[name] = float(not problems)
    return figures | registry_figures(_manifests("eks"), sys.stderr)


def _looks() -> dict[str, Callable[[], list[str]]]:
    """What finds problems, by the figure's name."""
    return {
        "lint": partial(_of_all, _lint),
        "golden": lambda: kept.stale(kept.golden()),
        "readme": _readme,
        "rules": lambda: kept.stale(kept.rules()),
        **{
            f"kubernetes_{version.replace('.', '_')}": partial(
                _of_manifests, partial(kubernetes_problems, version=version)
            )
            for version in KUBERNETES
        },
        "stack_on_a_laptop": lambda: kubernetes_problems(manifests(LAPTOP.read_text("utf-8")), KUBERNETES[-1]),
        "custom_resources": partial(_of_manifests, custom_problems),
        "restricted": partial(_of_manifests, restricted.problems),
        "settings": partial(_of_manifests, settings.problems),
        "refusals": refusals.problems,
        "upgrade": changes.problems,
        "checkov": lambda: policies.problems(*(_rendered(name) for name in ("eks", "local"))),
    }


@cache
def _rendered(name: str) -> str:
    return render(VALUES[name])


def _manifests(name: str) -> list[Manifest]:
    return manifests(_rendered(name))


def _of_all(look: Callable[[str], list[str]]) -> list[str]:
    return [f"values {name}: {problem}" for name in VALUES for problem in look(name)]


def _of_manifests(look: Callable[[list[Manifest]], list[str]]) -> list[str]:
    return _of_all(lambda name: look(_manifests(name)))


def _readme() -> list[str]:
    readme = kept.readme()
    return [*kept.stale(readme), *(problem for text in readme.values() for problem in kept.undocumented(text))]


def _lint(name: str) -> list[str]:
    values = [flag for file in VALUES[name] for flag in ("--values", str(CHART / file))]
    try:
        run(TOOLS / "helm", "lint", "--strict", CHART, *values)
    except ToolError as error:
        return [str(error)]
    return []
