"""What decisions have cost, by the table and by the ledger."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_admin.cost import live
from headgate_admin.cost.spent import Settled, add, spent_by_hour
from headgate_admin.main import make_app
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import RejectedError
from headgate_runtime.records import Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts
from pyiceberg.catalog.sql import SqlCatalog
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

CONTRACTS = Contracts.load()
HOUR_MS = 3_600_000
NINE_MS = 490_000 * HOUR_MS  # 2025-11-24T16:00Z
DECISION = pa.struct(
    [
        pa.field("agent", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("model_calls", pa.int32()),
        pa.field("input_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("cost_microdollars", pa.int64()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string()),
        pa.field("agent_metadata", DECISION),
        pa.field("processing_metadata", pa.struct([pa.field("processing_time", pa.timestamp("us", "UTC"))])),
    ]
)


class Lake:
    """A catalog whose table of decided events gets rows."""

    def __init__(self, folder: Path) -> None:
        self.properties = {
            "name": "local",
            "type": "sql",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"file://{folder}",
        }
        self.catalog = SqlCatalog(**self.properties)
        self.catalog.create_namespace("lakehouse")
        self.table = self.catalog.create_table("lakehouse.enriched_events", SCHEMA)

    def add(self, at_ms: int, *costs: int, agent: str = "risk") -> None:
        """Rows of one moment; a cost of 0 is a ruled event, another one a model's."""
        rows = [
            {
                "event_id": f"{at_ms}-{number}",
                "agent_metadata": {
                    "agent": agent,
                    "tier": "model" if cost else "rules",
                    "model_id": "us.amazon.nova-micro-v1:0" if cost else None,
                    "model_calls": 2 if cost else 0,
                    "input_tokens": 1000 if cost else 0,
                    "output_tokens": 40 if cost else 0,
                    "cost_microdollars": cost,
                },
                "processing_metadata": {"processing_time": at_ms * 1000},
            }
            for number, cost in enumerate(costs)
        ]
        self.table.append(pa.Table.from_pylist(rows, SCHEMA))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    lake = Lake(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(lake.properties))
    yield lake
    lake.catalog.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(make_app(), ["cost", "live", *arguments])


def settlement(**fields: Any) -> tuple[Decoder, Record]:
    topic = CONTRACTS.topic("budget-ledger")
    record, registry = CONTRACTS.record(topic.record), MemoryRegistry()
    registry.register(topic.subject, record.text)
    value = copy.deepcopy(CONTRACTS.examples(record.name)["settle"]) | fields
    encoded = Encoder(registry, topic.subject, record).encode(value)
    return Decoder(registry, record), Record(topic.topic, 0, 0, NINE_MS, None, encoded)


def test_spending_is_added_up_by_hour_agent_and_model(lake: Lake) -> None:
    lake.add(NINE_MS, 0, 0, 50, 70)
    lake.add(NINE_MS + HOUR_MS, 30, agent="session")
    lake.add(NINE_MS - HOUR_MS, 999)
    found = spent_by_hour(lake.table, "2025-11-24T16:00:00+00:00")
    assert [tuple(hour) for hour in found] == [
        ("2025-11-24T16:00Z", "risk", "us.amazon.nova-micro-v1:0", 2, 2, 4, 2000, 80, 120),
        ("2025-11-24T16:00Z", "risk", None, 2, 0, 0, 0, 0, 0),
        ("2025-11-24T17:00Z", "session", "us.amazon.nova-micro-v1:0", 1, 1, 2, 1000, 40, 30),
    ]


def test_the_command_says_what_a_million_events_really_cost(lake: Lake) -> None:
    lake.add(NINE_MS, 0, 0, 50, 70)
    document = json.loads(run("--since", "2025-11-24T00:00:00Z", "--no-ledger", "--json").stdout)
    assert document["table"] == {
        "events": 4,
        "model_calls": 4,
        "cost_microdollars": 120,
        "usd_per_million_events": 30.0,
        "model_share": 0.5,
        "calls_per_decision": 2.0,
        "tokens_per_call": [500.0, 20.0],
    }
    assert document["ledger"] is None
    told = run("--since", "2025-11-24T00:00:00Z", "--no-ledger").stdout
    assert "table: $0.000120 for 4 events, $30.0000 a million, 50.00% decided by a model" in told.replace("\n", " ")


def test_the_ledger_stands_beside_the_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.add(NINE_MS, 50)
    monkeypatch.setattr(live, "settled_since", lambda *_: Settled(2, 2080, 60, 1))
    told = run("--since", "2025-11-24T00:00:00Z").stdout
    assert "ledger: $0.000060 settled for 2 calls; 1 entries cannot be read" in told


@pytest.mark.usefixtures("lake")
def test_where_nothing_was_decided_nothing_is_divided() -> None:
    result = run("--since", "2025-11-24T00:00:00Z", "--no-ledger")
    assert (result.exit_code, "no event was decided since 2025-11-24T00:00:00+00:00" in result.stdout) == (0, True)


def test_settlements_alone_are_spending() -> None:
    found = Settled()
    for kind, tokens, cost in (("settle", 1412, 2090), ("reserve", 9999, 9999), ("settle", 10, 5)):
        add(found, *settlement(kind=kind, tokens=tokens, cost_microdollars=cost))
    decoder, record = settlement()
    record.value = b"\x00garbage"
    add(found, decoder, record)
    assert found == Settled(calls=2, tokens=1422, cost_microdollars=2095, unreadable=1)


def test_another_table_is_no_table_of_decided_events(tmp_path: Path) -> None:
    catalog = SqlCatalog("other", uri=f"sqlite:///{tmp_path}/other.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("lakehouse")
    table = catalog.create_table("lakehouse.other", pa.schema([pa.field("event_id", pa.string())]))
    with pytest.raises(RejectedError, match="not a table of decided events"):
        spent_by_hour(table, "2025-11-24T16:00:00+00:00")
    catalog.close()
