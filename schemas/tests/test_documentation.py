from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from headgate_schemas import Contracts, check_contracts

ROOT = Path(__file__).parents[2]


def test_the_contract_in_the_documentation_may_be_released(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    schema, topic = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("json", "yaml"))
    shipped = Contracts.load().directory
    for part in ("avro", "topics", "examples/reading"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "avro/reading.v1.avsc").write_text(schema)
    (tmp_path / "topics/readings.yaml").write_text(topic)
    shutil.copy(shipped / "avro/dead_letter.v1.avsc", tmp_path / "avro")
    shutil.copytree(shipped / "examples/dead_letter", tmp_path / "examples/dead_letter")
    dead_letters = (shipped / "topics/raw-events.dlq.yaml").read_text().replace("raw-events", "readings")
    (tmp_path / "topics/readings.dlq.yaml").write_text(dead_letters)
    reading = {"reading_id": "r-1", "meter": "m-1", "measured_at": 1_764_000_000_000, "kind": "water"}
    (tmp_path / "examples/reading/water.json").write_text(json.dumps(reading | {"litres": 3.5}))
    (tmp_path / "examples/reading/no_litres.json").write_text(json.dumps(reading))

    [problem] = check_contracts(Contracts.load(tmp_path))
    assert problem.startswith(
        "examples/reading/no_litres.json: is no value of readings: litres is required where kind "
    )
