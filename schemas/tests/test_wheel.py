from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from headgate_schemas import Contracts

PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from headgate_schemas import Contracts, check_contracts
contracts = Contracts.load()
print(json.dumps([str(contracts.directory), sorted(contracts.topics), check_contracts(contracts)]))
"""


def test_a_wheel_brings_its_contracts(tmp_path: Path) -> None:
    source = Path(__file__).parents[1]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)  # noqa: S603  # fixed arguments
    target = tmp_path / "installed"
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(target)

    probe = [sys.executable, "-c", PROBE, str(target)]
    answer = subprocess.run(probe, cwd=tmp_path, check=True, capture_output=True, text=True)  # noqa: S603  # fixed arguments
    directory, topics, problems = json.loads(answer.stdout)

    assert directory == str(target / "headgate_schemas" / "contracts")
    assert topics == sorted(Contracts.load().topics)
    assert problems == []
    assert {path.name for path in Path(directory).iterdir()} == {"avro", "topics", "sets", "examples", "mappings"}
