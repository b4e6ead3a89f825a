"""``headgate table rollback-to``: what it shows, what it refuses, and what it changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.main import make_app
from headgate_admin.tables import cli
from headgate_admin.tables.rollback import commit_rollback, find_target, plan_rollback
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import TopicPartition
from pyiceberg.exceptions import ServiceUnavailableError
from typer.testing import CliRunner

from .lake import NAME, TOPIC, Lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result


class Log:
    """What the brokers still have."""

    begins = 0
    same = True

    def __init__(self, _: object, positions: dict[str, Any]) -> None:
        self._positions = positions

    def first_offsets(self) -> dict[TopicPartition, int]:
        if not self.same:
            raise RejectedError("enriched-events was created again")
        return {
            TopicPartition(topic, number): self.begins
            for topic, each in self._positions.items()
            for number in each.ends
        }


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "StoredLog", Log)
    monkeypatch.setattr(Log, "begins", 0)
    monkeypatch.setattr(Log, "same", True)
    lake = Lake(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(lake.properties))
    yield lake
    lake.close()


def roll_back(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(make_app(), ["table", "rollback-to", NAME, *arguments], input=answer)


def head(lake: Lake) -> int | None:
    return lake.table.metadata.current_snapshot_id


def test_rows_and_positions_go_back_together(lake: Lake) -> None:
    first = lake.append([(0, 0), (0, 1)], {0: 2})
    lake.append([(0, 2), (1, 0)], {0: 3, 1: 1})
    last = lake.append([(0, 3)], {0: 4, 1: 1})
    result = roll_back("--snapshot", str(first), "--yes", "--json")
    assert (result.exit_code, head(lake)) == (0, first)
    assert json.loads(result.stdout) == {
        "table": NAME,
        "head": last,
        "target": first,
        "snapshots": 2,
        "rows": 3,
        "positions": [
            {"partition": f"{TOPIC}/0", "before": 4, "after": 2, "lost": 0},
            {"partition": f"{TOPIC}/1", "before": 1, "after": 0, "lost": 0},
        ],
    }
    assert lake.table.scan().count() == 2
    assert "A running writer finds out with its next batch" in result.stderr


def test_a_person_is_shown_what_goes_and_asked(lake: Lake) -> None:
    first = lake.append([(0, 0)], {0: 1})
    last = lake.append([(0, 1)], {0: 2})
    refused = roll_back("--snapshot", str(first), answer="n\n")
    assert (refused.exit_code, head(lake)) == (1, last)
    assert "1 snapshots and 1 rows go" in refused.stdout
    agreed = roll_back("--snapshot", str(first), answer="y\n")
    assert (agreed.exit_code, head(lake)) == (0, first)


def test_a_program_is_not_asked_and_may_look_first(lake: Lake) -> None:
    first = lake.append([(0, 0)], {0: 1})
    last = lake.append([(0, 1)], {0: 2})
    assert roll_back("--snapshot", str(first), "--json").exit_code == 2
    looked = roll_back("--snapshot", str(first), "--json", "--dry-run")
    assert (looked.exit_code, json.loads(looked.stdout)["target"], head(lake)) == (0, first, last)


def test_a_tag_and_a_time_name_a_snapshot(lake: Lake) -> None:
    first = lake.append([(0, 0)], {0: 1})
    lake.table.manage_snapshots().create_tag(first, "good").commit()
    second = lake.append([(0, 1)], {0: 2})
    lake.append([(0, 2)], {0: 3})
    made = lake.table.snapshot_by_id(second)
    assert made is not None
    assert find_target(lake.table, snapshot=None, tag=None, at_ms=made.timestamp_ms).snapshot_id == second
    assert roll_back("--tag", "good", "--yes").exit_code == 0
    assert head(lake) == first
    assert "No tag bad: there are good, main" in roll_back("--tag", "bad", "--yes").stderr
    assert "No such snapshot is left" in roll_back("--at", "2001-01-01T00:00:00Z", "--yes").stderr


def test_a_snapshot_that_no_map_holds_at_is_refused(lake: Lake) -> None:
    first = lake.append([(0, 0)], None)
    last = lake.append([(0, 1)], {0: 2})
    result = roll_back("--snapshot", str(first), "--yes", "--force")
    assert (result.exit_code, head(lake)) == (1, last)
    assert "No offset map holds" in result.stderr


def test_records_that_left_the_log_are_given_up_by_force_only(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lake.append([(0, 0), (0, 1)], {0: 2})
    last = lake.append([(0, 2), (1, 4)], {0: 9, 1: 5})
    monkeypatch.setattr(Log, "begins", 6)
    refused = roll_back("--snapshot", str(first), "--yes")
    assert (refused.exit_code, head(lake)) == (1, last)
    assert f"{TOPIC}/0: 4 records from offset 2 on have left the log" in refused.stderr
    assert f"{TOPIC}/1: 5 records from offset 0 on have left the log" in refused.stderr
    forced = roll_back("--snapshot", str(first), "--yes", "--force")
    assert (forced.exit_code, head(lake)) == (0, first)
    assert f"""HEADGATE_WRITER_ACCEPTED_LOSSES='["{TOPIC}/0/2"]'""" in forced.stderr


def test_a_topic_that_was_created_again_is_refused_without_force(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lake.append([(0, 0)], {0: 1})
    lake.append([(0, 1)], {0: 2})
    monkeypatch.setattr(Log, "same", False)
    assert roll_back("--snapshot", str(first), "--yes").exit_code == 1
    assert roll_back("--snapshot", str(first), "--yes", "--force").exit_code == 0


def test_who_commits_meanwhile_wins(lake: Lake) -> None:
    first = lake.append([(0, 0)], {0: 1})
    lake.append([(0, 1)], {0: 2})
    table = lake.table
    plan = plan_rollback(table, find_target(table, snapshot=first, tag=None, at_ms=None))
    latest = lake.append([(0, 2)], {0: 3})
    with pytest.raises(RejectedError, match="has moved on"):
        commit_rollback(table, plan)
    assert head(lake) == latest


@pytest.mark.parametrize("landed", [True, False])
def test_an_answer_that_is_lost_is_settled_by_the_head(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, *, landed: bool
) -> None:
    first = lake.append([(0, 0)], {0: 1})
    lake.append([(0, 1)], {0: 2})
    table = lake.table
    plan = plan_rollback(table, find_target(table, snapshot=first, tag=None, at_ms=None))
    commit = table.catalog.commit_table

    def lose(*arguments: Any) -> None:
        if landed:
            commit(*arguments)
        raise ServiceUnavailableError("no answer")

    monkeypatch.setattr(table.catalog, "commit_table", lose)
    if landed:
        commit_rollback(table, plan)
    else:
        with pytest.raises(UnavailableError, match="not known"):
            commit_rollback(table, plan)


def test_the_head_itself_is_no_target(lake: Lake) -> None:
    last = lake.append([(0, 0)], {0: 1})
    assert "is the head already" in roll_back("--snapshot", str(last), "--yes").stderr


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("choice", [[], ["--tag", "a", "--snapshot", "1"]])
def test_one_snapshot_has_to_be_named(choice: list[str]) -> None:
    assert roll_back(*choice).exit_code == 2
