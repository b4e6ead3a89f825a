"""The pytest plugin, in a session of its own: brokers that are half named are a usage error that says what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from headgate_local.config import inherited_environment

if TYPE_CHECKING:
    from pathlib import Path


def session(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A session of one test that needs no broker."""
    (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    rest = {name: value for name, value in inherited_environment().items() if not name.startswith("HEADGATE_TEST_")}
    return subprocess.run(  # noqa: S603 - this interpreter and the test's own folder
        [sys.executable, "-m", "pytest", "-p", "headgate_local.fixtures", "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**rest, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("given", ["HEADGATE_TEST_BOOTSTRAP", "HEADGATE_TEST_REGISTRY"])
def test_one_setting_without_the_other_is_a_usage_error(tmp_path: Path, given: str) -> None:
    ended = session(tmp_path, **{given: "127.0.0.1:1"})
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    said = ended.stdout + ended.stderr
    assert "ERROR: set both HEADGATE_TEST_BOOTSTRAP and HEADGATE_TEST_REGISTRY, or neither" in said
    assert "INTERNALERROR" not in said
    assert "Traceback" not in said


def test_both_settings_are_named_in_the_header(tmp_path: Path) -> None:
    ended = session(tmp_path, HEADGATE_TEST_BOOTSTRAP="127.0.0.1:1", HEADGATE_TEST_REGISTRY="http://127.0.0.1:2")
    assert ended.returncode == 0, ended.stdout
    assert "brokers: 127.0.0.1:1 and http://127.0.0.1:2" in ended.stdout
