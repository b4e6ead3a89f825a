"""What is written from the chart and kept in the tree: rendered manifests, its README, the rules it ships.

``make golden`` writes them (``python -m tests.deploy.chart.kept``); the check wants them as they would be written.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.deploy.chart.rendering import CHART, VALUES, render
from tests.deploy.tools import ROOT, TOOLS, ToolError, run

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = ROOT / "tests" / "deploy" / "golden" / "helm"
GOLDEN_SETS = ("default", "eks", "local")
RULES = ROOT / "deploy" / "observability" / "prometheus"
SHIPPED_RULES = CHART / "files"


def golden() -> dict[Path, str]:
    """Rendered manifests by their file."""
    return {GOLDEN / f"{name}.yaml": render(VALUES[name]) for name in GOLDEN_SETS}


def readme() -> dict[Path, str]:
    """The chart's README by its file."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Chart.yaml", "values.yaml", "README.md.gotmpl"):
            (Path(folder) / name).write_bytes((CHART / name).read_bytes())
        flags = ["--sort-values-order", "file", "--skip-version-footer", "--log-level", "error"]
        run(TOOLS / "helm-docs", "--chart-search-root", folder, *flags)
        return {CHART / "README.md": (Path(folder) / "README.md").read_text("utf-8")}


def undocumented(text: str) -> list[str]:
    """Values that the README has no words for."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [f"{row.split('`')[1]} has no description in values.yaml" for row in rows if row.endswith("|  |")]


def rules() -> dict[Path, str]:
    """Prometheus' rules by the file the chart ships them in: helm reads nothing outside of the chart's folder.

    Raises:
        ToolError: There are none.
    """
    found = sorted(RULES.glob("*.rules.yaml"))
    if not found:
        raise ToolError(f"there are no rules in {RULES}")
    return {SHIPPED_RULES / path.name: path.read_text("utf-8") for path in found}


def stale(wanted: Mapping[Path, str]) -> list[str]:
    """Which files are not as they would be written; what is beside them and would not be written, too."""
    folders = {path.parent for path in wanted} - {CHART}
    kept = {path for folder in folders for path in folder.iterdir()}
    differing = {path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text}
    return [f"{path.relative_to(ROOT)} is stale: run `make golden`" for path in sorted(differing | kept - set(wanted))]


def main() -> None:
    """Write all of them."""
    # rendered last, with the rules in place
    for write in (rules, readme, golden):
        _write(write())


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
