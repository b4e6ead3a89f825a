"""What checkov says of the rendered manifests, but for what skips.yaml gives a reason for."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import yaml

from tests.deploy.tools import DEPLOY_BIN, ToolError, run

SKIPS = Path(__file__).with_name("skips.yaml")


def problems(*texts: str) -> list[str]:
    """Failed checks of rendered manifests, and skips that no longer skip anything.

    Raises:
        ToolError: checkov is not there or prints no report.
    """
    skips = yaml.safe_load(SKIPS.read_text("utf-8"))
    failed = {(each["check_id"], each["resource"]): each["check_name"] for each in _failed(texts)}
    used, found = set(), []
    for (check, resource), name in sorted(failed.items()):
        fitting = [
            n for n, skip in enumerate(skips) if skip["check"] == check and re.fullmatch(skip["objects"], resource)
        ]
        used.update(fitting)
        if not fitting:
            found.append(f"{resource}: {check} {name}")
    unused = [skip["check"] for n, skip in enumerate(skips) if n not in used]
    return [*found, *(f"{SKIPS.name}: {check} skips nothing: take it away" for check in unused)]


def _failed(texts: tuple[str, ...]) -> list[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            (Path(folder) / f"{number}.yaml").write_text(text, encoding="utf-8")
        flags = ("--framework", "kubernetes", "--output", "json", "--skip-download")
        told = run(DEPLOY_BIN / "checkov", "--directory", folder, *flags, codes=(0, 1))
    try:
        report = json.loads(told)
        if not report["summary"]["passed"]:
            raise ToolError("checkov has checked nothing")
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"checkov prints no report: {told}") from error
    failed: list[dict[str, str]] = report["results"]["failed_checks"]
    return failed
