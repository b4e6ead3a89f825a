"""Topics that are stored: which table, together with which others, and where what cannot be a row goes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from headgate_schemas import ContractError, Contracts

SHIPPED = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("avro", "topics", "sets", "examples"):
        shutil.copytree(SHIPPED / part, tmp_path / part)
    return tmp_path


def problems(folder: Path, topic: str, **changes: Any) -> str:
    """What is wrong after changes to a topic."""
    path = folder / "topics" / f"{topic}.yaml"
    data = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not ...}))
    with pytest.raises(ContractError) as caught:
        Contracts.load(folder)
    return str(caught.value)


def test_stored_topics_are_those_with_a_table() -> None:
    contracts = Contracts.load()
    assert {"enriched-events", "review-outcomes", "decision-metrics", "raw-events.dlq"} <= set(contracts.stored)
    assert "raw-events" not in contracts.stored


def test_every_dead_letter_topic_is_stored_in_one_table() -> None:
    contracts = Contracts.load()
    letters = {topic.dead_letters for topic in contracts.topics.values() if topic.dead_letters}
    assert {contract.table and contract.table.name for contract in map(contracts.topic, letters)} == {
        "lakehouse.dead_letters"
    }


def test_topics_of_one_table_have_one_record(folder: Path) -> None:
    assert problems(folder, "raw-events", table={"name": "lakehouse.dead_letters"}) == (
        "raw-events.yaml: record: lakehouse.dead_letters is also the table of account-profiles.dlq, whose record is "
        "dead_letter; topics of one table have one record"
    )


def test_topics_of_one_table_say_the_same_about_it(folder: Path) -> None:
    assert problems(folder, "raw-events.dlq", table={"name": "lakehouse.dead_letters"}) == (
        "raw-events.dlq.yaml: table: account-profiles.dlq.yaml describes lakehouse.dead_letters otherwise; topics of "
        "one table say the same about it"
    )


def test_a_stored_topic_has_a_place_for_what_cannot_be_a_row(folder: Path) -> None:
    found = problems(folder, "raw-events", table={"name": "a.t"}, dead_letters=...)
    assert "raw-events.yaml: dead_letters: a topic with a table needs one, for what cannot be a row of it" in found


def test_a_topic_that_takes_dead_letters_sends_none_on(folder: Path) -> None:
    found = problems(folder, "raw-events.dlq", dead_letters="enriched-events.dlq")
    assert "raw-events.dlq.yaml: dead_letters: it takes the dead letters of raw-events, and a letter about a" in found
