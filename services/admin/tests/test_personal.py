"""Where personal data goes, from the contracts alone."""

from __future__ import annotations

import json

from headgate_admin.personal import cli
from headgate_admin.personal.places import person_tables, personal_topics
from headgate_schemas import Contracts
from typer.testing import CliRunner

CONTRACTS = Contracts.load()
TOPICS = {topic.contract.topic: topic for topic in personal_topics(CONTRACTS)}


def test_every_tagged_field_of_every_topic_is_named() -> None:
    for topic in CONTRACTS.topics.values():
        tagged = CONTRACTS.record(topic.record).pii
        named = {field.path: field.tag for field in TOPICS[topic.topic].fields} if topic.topic in TOPICS else {}
        assert named == tagged, topic.topic


def test_states_whose_key_ends_with_the_persons_are_personal_without_a_tag() -> None:
    memory = TOPICS["enricher-memory"]
    assert memory.keyed
    assert memory.compacted
    assert memory.fields == ()


def test_topics_without_personal_data_are_left_out() -> None:
    assert "budget-ledger" not in TOPICS
    assert "enricher-progress" not in TOPICS


def test_tables_are_found_by_the_column_with_the_persons_key() -> None:
    tables = {table.name: table for table in person_tables(CONTRACTS)}
    assert tables["lakehouse.enriched_events"].column == "payload.attributes.user_id"
    assert tables["lakehouse.enriched_events"].treatment == "keep"
    assert tables["lakehouse.dead_letters"].column == "key"
    assert "raw-events.dlq" in tables["lakehouse.dead_letters"].topics


def test_the_report_is_one_json_document() -> None:
    done = CliRunner().invoke(cli.app, ["report", "--json"])
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    raw = next(topic for topic in document["topics"] if topic["topic"] == "raw-events")
    assert {"field": "payload.attributes.user_id", "tag": "direct", "table": None, "treatment": None} in raw["fields"]
    assert raw["keyed_by_person"]


def test_the_report_for_people_names_field_and_table() -> None:
    done = CliRunner().invoke(cli.app, ["report"], env={"COLUMNS": "250"})
    assert done.exit_code == 0
    assert "outcome.reviewer" in done.stdout
    assert "lakehouse.review_outcomes" in done.stdout
    assert "(record key)" in done.stdout
