"""Figures on disk are numbers, with the commit and the machine they belong to."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from headgate_local.figures import write_figures

if TYPE_CHECKING:
    from pathlib import Path


def test_figures_are_written_with_commit_and_machine(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)  # noqa: S607 - git of the PATH
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)  # noqa: S603 - our own words
    path = write_figures("bench", "pipeline", {"events_per_s": 10.5}, details={"note": "x"}, root=tmp_path)
    assert path == tmp_path / "build" / "bench" / "pipeline.json"
    report = json.loads(path.read_text())
    assert report["figures"] == {"events_per_s": 10.5}
    assert report["details"] == {"note": "x"}
    assert len(report["commit"]) == 40
    assert report["machine"]["cores"] >= 1


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert json.loads(write_figures("check", "x", {}, root=tmp_path).read_text())["commit"] is None


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a finite number: share"):
        write_figures("bench", "x", {"share": float("nan")}, root=tmp_path)
