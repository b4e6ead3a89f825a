"""Rules, alerts and the collector's configuration, in the tools they are for; ``make tools`` builds those."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.check.queries import PROMETHEUS
from tests.deploy import collector, live_alerts
from tests.deploy.tools import TOOLS, tool

if TYPE_CHECKING:
    from collections.abc import Mapping


def check() -> Mapping[str, float]:
    """Check the rules, run their tests, run them on a live platform, and send a span through the collector."""
    rules, tests = (sorted(map(str, PROMETHEUS.glob(f"*.{kind}.yaml"))) for kind in ("rules", "test"))
    return {
        "promtool_config": promtool("check", "config", str(PROMETHEUS / "prometheus.yml")),
        "promtool_rules": promtool("check", "rules", "--lint=all", "--lint-fatal", *rules),
        "promtool_tests": promtool("test", "rules", *tests),
        **collector.figures(tool(TOOLS / "otelcol" / "otelcol-headgate")),
        **live_alerts.figures(tool(TOOLS / "prometheus")),
    }


def promtool(*arguments: str) -> float:
    """Run promtool; 1 where it found nothing wrong, else 0."""
    return float(subprocess.run([tool(TOOLS / "promtool"), *arguments], check=False).returncode == 0)
