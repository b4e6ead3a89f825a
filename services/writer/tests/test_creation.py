"""The tables that ``headgate setup`` makes are those a writer would make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_schemas import Contracts
from headgate_writer.catalog import open_catalog
from headgate_writer.creation import create_tables
from headgate_writer.opening import open_for_topic
from headgate_writer.personal import Guard

if TYPE_CHECKING:
    from pathlib import Path

CONTRACTS = Contracts.load()


@pytest.fixture
def properties(tmp_path: Path) -> dict[str, str]:
    return {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"}


def test_every_stored_topic_gets_its_table_and_a_repetition_changes_none(properties: dict[str, str]) -> None:
    names = create_tables(CONTRACTS, properties)
    assert names == sorted({table.name for topic in CONTRACTS.topics.values() if (table := topic.table)})
    catalog = open_catalog(properties)
    made = {name: catalog.load_table(name).metadata_location for name in names}
    assert create_tables(CONTRACTS, properties) == names
    assert {name: catalog.load_table(name).metadata_location for name in names} == made


def test_a_writer_finds_the_table_as_it_wants_it(properties: dict[str, str]) -> None:
    create_tables(CONTRACTS, properties)
    catalog = open_catalog(properties)
    topic = CONTRACTS.topic("enriched-events")
    assert topic.table is not None
    made = catalog.load_table(topic.table.name)
    record = CONTRACTS.record(topic.record)
    open_for_topic(catalog, topic, topic.table, Guard(topic.table.pii, None, record), record)
    assert catalog.load_table(topic.table.name).metadata_location == made.metadata_location
    assert [field.name for field in made.spec().fields] == ["event_timestamp_day"]
    assert made.current_snapshot() is None


def test_a_catalog_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        create_tables(CONTRACTS, {"type": "nothing", "uri": "x"})
