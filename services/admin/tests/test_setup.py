"""``headgate setup`` makes what is missing, waits for what is not up, and is harmless when repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin import patience
from headgate_admin.setup import cli, steps
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.testing.registry import MemoryRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

from .cluster import MemoryCluster, MemoryTopic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTRACTS = Contracts.load()
CATALOG = {"name": "lake", "type": "sql", "uri": "sqlite:///lake.db"}


class MemoryPlatform:
    """Cluster, registry and lake in memory; ``absent`` answers of the lake are that it is away."""

    def __init__(self) -> None:
        self.cluster, self.registry, self.absent = MemoryCluster(), MemoryRegistry(), 0
        self.catalogs: list[Mapping[str, str]] = []

    def create_tables(self, contracts: Contracts, catalog: Mapping[str, str]) -> list[str]:
        self.absent -= 1
        if self.absent >= 0:
            raise UnavailableError("the catalog does not answer")
        self.catalogs.append(catalog)
        return sorted({table.name for topic in contracts.topics.values() if (table := topic.table)})


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryPlatform:
    memory = MemoryPlatform()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(CATALOG))
    monkeypatch.setattr(cli, "connect", lambda _settings: (memory.cluster, memory.registry, memory.create_tables))
    monkeypatch.setattr(patience, "_TRY_AGAIN_S", 0.0)
    return memory


def headgate_setup(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli.app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_topics_schemas_and_tables_are_made_and_nothing_the_second_time(platform: MemoryPlatform) -> None:
    code, made = headgate_setup()
    assert code == 0
    assert {change["topic"] for change in made["topics"]} == set(CONTRACTS.topics) == set(platform.cluster.current)
    assert {change["subject"] for change in made["schemas"]} == {each.subject for each in CONTRACTS.topics.values()}
    assert "lakehouse.enriched_events" in made["tables"]
    assert platform.catalogs == [CATALOG]
    code, again = headgate_setup()
    assert (code, again["topics"], again["schemas"], again["tables"]) == (0, [], [], made["tables"])


def test_what_is_away_is_waited_for(platform: MemoryPlatform) -> None:
    platform.absent = 3
    assert headgate_setup()[0] == 0


def test_what_stays_away_ends_the_wait_with_its_own_exit_code(platform: MemoryPlatform) -> None:
    platform.cluster.unavailable = True
    code, document = headgate_setup("--wait", "0")
    assert (code, document["errors"]) == (3, ["cannot list topics: no broker answers"])


def test_a_topic_that_cannot_be_mended_stops_the_setup_before_anything_is_changed(platform: MemoryPlatform) -> None:
    platform.cluster.current["raw-events"] = MemoryTopic(9)
    code, document = headgate_setup()
    assert code == 1
    assert "raw-events has 9 partitions" in document["errors"][0]
    assert list(platform.cluster.current) == ["raw-events"]
    assert platform.catalogs == []


def test_without_a_catalog_the_setting_is_named(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADGATE_ADMIN_CATALOG")
    code, document = headgate_setup()
    assert code == 2
    assert "HEADGATE_ADMIN_CATALOG" in document["errors"][0]
    assert platform.cluster.current == {}


def test_without_the_package_that_makes_tables_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "installed", lambda _group: ())
    with pytest.raises(ConfigurationError, match="install headgate-writer"):
        steps.table_maker()


def test_the_writer_offers_what_makes_tables() -> None:
    assert steps.table_maker().__module__ == "headgate_writer.creation"
