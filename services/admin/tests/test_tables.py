from __future__ import annotations

import json

from headgate_admin.main import make_app
from headgate_schemas import Contracts, latest_view
from typer.testing import CliRunner


def test_the_view_is_printed_as_it_is_run() -> None:
    contracts = Contracts.load()
    topic = contracts.topic("enriched-events")
    statement = latest_view(topic, contracts.record(topic.record))
    assert CliRunner().invoke(make_app(), ["table", "view"]).stdout == statement + "\n"
    document = json.loads(CliRunner().invoke(make_app(), ["table", "view", topic.topic, "--json"]).stdout)
    assert document == {"topic": topic.topic, "sql": statement}


def test_a_topic_without_such_a_table_is_refused() -> None:
    result = CliRunner().invoke(make_app(), ["table", "view", "raw-events"])
    assert result.exit_code == 1
    assert "raw-events.yaml: table.versions" in result.stderr
