"""The command line against a real broker and a real registry."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_admin.main import make_app
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers

SHIPPED = Contracts.load().directory


class CommandLine:
    """``headgate`` with contracts whose topics no other test has."""

    def __init__(self, brokers: Brokers, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.raw_events = f"{prefix}-raw-events"
        self._options = {
            "topics": ["--bootstrap-servers", brokers.bootstrap_servers],
            "schemas": ["--registry-url", brokers.registry_url],
        }
        for part in ("avro", "sets", "examples"):
            shutil.copytree(SHIPPED / part, folder / part)
        (folder / "topics").mkdir()
        for path in SHIPPED.glob("topics/*.yaml"):
            data = yaml.safe_load(path.read_text())
            renamed = {key: f"{prefix}-{data[key]}" for key in ("topic", "dead_letters") if key in data}
            self.write_topic(data | renamed)

    def __call__(self, group: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        options = [*self._options[group], "--contracts", str(self.folder), "--json"]
        result = CliRunner().invoke(make_app(), [group, *arguments, *options])
        return result.exit_code, json.loads(result.stdout)

    def write_topic(self, data: dict[str, Any]) -> None:
        (self.folder / "topics" / f"{data['topic']}.yaml").write_text(yaml.safe_dump(data))

    def change_topic(self, **changes: Any) -> None:
        path = self.folder / "topics" / f"{self.raw_events}.yaml"
        self.write_topic(yaml.safe_load(path.read_text()) | changes)

    def release(self, version: int, *fields: dict[str, Any]) -> None:
        schema = json.loads((self.folder / "avro/base_event.v1.avsc").read_text())
        schema["fields"] += fields
        (self.folder / f"avro/base_event.v{version}.avsc").write_text(json.dumps(schema))


@pytest.fixture
def headgate(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> CommandLine:
    return CommandLine(stack, tmp_path, topic_name("admin"))


def test_topics_are_made_as_their_contracts_say_once(headgate: CommandLine, stack: Brokers) -> None:
    code, document = headgate("topics", "apply", "--replication-factor", "1")
    assert (code, [change["action"] for change in document["changes"]]) == (
        0,
        ["create"] * len(list(SHIPPED.glob("topics/*.yaml"))),
    )
    made = KafkaAdmin(KafkaSettings(bootstrap_servers=stack.bootstrap_servers)).topics()[headgate.raw_events]
    assert (made.partitions, made.config["retention.ms"], made.config["cleanup.policy"]) == (4, "604800000", "delete")
    assert headgate("topics", "apply") == (0, {"applied": True, "changes": []})
    assert headgate("topics", "diff") == (0, {"applied": False, "changes": []})


def test_a_topic_grows_and_keeps_longer_but_never_shrinks(headgate: CommandLine) -> None:
    assert headgate("topics", "apply")[0] == 0
    headgate.change_topic(partitions=6, retention_ms=3_600_000, cleanup_policy="compact,delete")
    code, document = headgate("topics", "diff")
    assert (code, [change["action"] for change in document["changes"]]) == (1, ["add partitions", "alter config"])
    assert headgate("topics", "apply")[0] == 0
    assert headgate("topics", "diff") == (0, {"applied": False, "changes": []})

    headgate.change_topic(partitions=2)
    code, document = headgate("topics", "apply")
    assert code == 1
    assert document["applied"] is False
    assert "has 6 partitions and its contract says 2" in document["changes"][0]["reason"]


def test_a_shorter_retention_than_records_are_old_is_refused_until_forced(
    headgate: CommandLine, stack: Brokers
) -> None:
    assert headgate("topics", "apply")[0] == 0
    settings = KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
    producer = KafkaProducer(settings)
    two_days_ago_ms = time.time_ns() // 1_000_000 - 2 * 86_400_000
    producer.send(OutgoingRecord(headgate.raw_events, b"key", b"value", timestamp_ms=two_days_ago_ms))
    assert producer.flush(30) == 0
    headgate.change_topic(retention_ms=86_400_000)
    code, document = headgate("topics", "diff")
    assert (code, [change["action"] for change in document["changes"]]) == (1, ["refused"])
    assert "up to 1 records are older" in document["changes"][0]["reason"]
    assert headgate("topics", "apply")[0] == 1
    assert headgate("topics", "apply", "--force")[0] == 0
    made = KafkaAdmin(settings).topics()[headgate.raw_events]
    assert made.config["retention.ms"] == "86400000"


def test_schemas_are_registered_in_order_once(headgate: CommandLine, stack: Brokers) -> None:
    headgate.release(2, {"name": "region", "type": ["null", "string"], "default": None, "doc": "Where."})
    subject = f"{headgate.raw_events}-value"
    code, document = headgate("schemas", "register", "--dry-run")
    registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
    assert (code, registry.versions(subject)) == (0, [])
    planned = [
        change.get("record", change.get("after")) for change in document["changes"] if change["subject"] == subject
    ]
    assert planned == ["base_event.v1", "FULL_TRANSITIVE", "base_event.v2"]

    assert headgate("schemas", "register")[0] == 0
    assert headgate("schemas", "register") == (0, {"applied": True, "changes": []})
    assert registry.compatibility(subject) == "FULL_TRANSITIVE"
    contracts = Contracts.load(headgate.folder)
    ids = [registry.schema_id(subject, record.text) for record in contracts.versions("base_event")]
    assert ids == sorted(set(ids))


def test_an_incompatible_schema_is_refused_by_check_and_by_the_registry(headgate: CommandLine) -> None:
    assert headgate("schemas", "register")[0] == 0
    headgate.release(2, {"name": "weight", "type": "int", "doc": "Weight in grams."})
    code, document = headgate("schemas", "register")
    assert code == 1
    assert document["errors"][0].startswith(f"{headgate.raw_events}-value: base_event.v2 was not registered")
    assert "refused" in document["errors"][0]

    loaded = Contracts.load(headgate.folder)
    assert len(loaded.versions("base_event")) == 2
    checked = CliRunner().invoke(make_app(), ["schemas", "check", "--contracts", str(headgate.folder), "--json"])
    expected = "base_event.v2 cannot read what base_event.v1 wrote: weight: is not written and has no default; breaks "
    errors = json.loads(checked.stdout)["errors"]
    assert (checked.exit_code, any(error.startswith(expected) for error in errors)) == (1, True)
