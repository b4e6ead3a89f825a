from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from headgate_producer import cli
from headgate_producer.candidates import Candidate
from headgate_producer.config import CommandSettings, Settings
from headgate_producer.runs import Connection, execute
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from typer.testing import CliRunner, Result

if TYPE_CHECKING:
    from pathlib import Path

ROWS = ("00002 19970112  1   12.00", "00001 19970101  1   11.77", "00002 19970112  5   77.00")
NOW = "2027-01-15T08:00:00Z"
NOW_MS = 1_800_000_000_000

Invoke = Callable[..., Result]
Stored = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: MemoryBroker, registry: MemoryRegistry) -> Invoke:
    """Runs the command line in an empty folder, over a broker in memory."""

    @contextmanager
    def connect(_: Settings) -> Iterator[Connection]:
        yield Connection(registry, MemoryProducer(broker))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "execute", partial(execute, connect=connect))
    return lambda *arguments: CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_a_replay_sends_every_row_and_sums_up(invoke: Invoke, cdnow_file: Callable[..., Path], stored: Stored) -> None:
    result = invoke("replay", cdnow_file(*ROWS), "--mapping", "cdnow", "--now", NOW, "--json")

    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["read"], summary["acknowledged"], summary["refused"]) == (3, 3, 0)
    assert {found["event_id"]: found["event_timestamp"] for found in stored()}["cdnow-3"] == NOW_MS


def test_the_same_now_gives_the_same_topic(invoke: Invoke, cdnow_file: Callable[..., Path], stored: Stored) -> None:
    path = cdnow_file(*ROWS)
    invoke("replay", path, "--mapping", "cdnow", "--now", NOW)
    invoke("replay", path, "--mapping", "cdnow", "--now", NOW)

    events = [json.dumps(found, sort_keys=True) for found in stored()]
    assert len(events) == 6
    assert all(events.count(found) == 2 for found in events)


def test_refused_rows_are_counted_and_listed_and_fail_only_a_strict_run(
    invoke: Invoke, cdnow_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = cdnow_file(*ROWS, "00003 19970112 1 -1.00")

    lenient = invoke("replay", path, "--mapping", "cdnow", "--rejects", tmp_path / "bad.jsonl")
    strict = invoke("replay", path, "--mapping", "cdnow", "--rejects", tmp_path / "bad.jsonl", "--strict")

    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert "3 of 4 events acknowledged" in lenient.output
    assert "1 refused by amount_not_negative" in lenient.output
    (reject,) = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert (reject["row"], reject["field"]) == (4, "payload.attributes.amount")
    assert reject["original"]["dollar_value"] == "-1.00"


def test_generated_events_are_labelled_beside_the_topic(invoke: Invoke, stored: Stored, tmp_path: Path) -> None:
    result = invoke("generate", "--events", 200, "--seed", 5, "--labels", tmp_path / "truth.jsonl", "--json")

    assert result.exit_code == 0, result.output
    labels = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert {label["event_id"] for label in labels} == {found["event_id"] for found in stored()}
    assert len(labels) == json.loads(result.stdout)["labelled"] == 200


def test_a_replay_and_generated_events_are_merged_up_to_the_limit(
    invoke: Invoke, cdnow_file: Callable[..., Path], stored: Stored
) -> None:
    path = cdnow_file(*(f"{row:05d} 19970101 1 1.00" for row in range(100)))

    result = invoke("replay", path, "--mapping", "cdnow", "--generated", 20, "--limit", 60, "--now", NOW, "--json")

    assert result.exit_code == 0, result.output
    sources = [found["source_system"] for found in stored()]
    assert (len(sources), sources.count("cdnow")) == (60, 40)
    assert max(found["event_timestamp"] for found in stored() if found["source_system"] == "cdnow") == NOW_MS
    people = [found["payload"]["attributes"]["user_id"] for found in stored()]
    assert set(people) == {f"{row:05d}" for row in range(40)}, "what is generated happens to those in the file"


def test_rejected_rows_of_events_can_be_sent_again_as_json_lines(
    invoke: Invoke, tmp_path: Path, stored: Stored, event: dict[str, Any]
) -> None:
    lines = [{**event, "event_timestamp": "2027-01-15T08:00:00Z"}, {**event, "event_timestamp": "soon"}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    result = invoke("replay", "events.jsonl", "--json")

    assert json.loads(result.stdout)["refused_by_rule"] == {"schema_type": 1}
    assert [found["event_timestamp"] for found in stored()] == [NOW_MS]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("replay", "missing.csv", "--mapping", "cdnow"), 2, "missing.csv: cannot be read"),
        (("replay", "missing.csv", "--mapping", "nope"), 2, "no mapping 'nope'"),
        (("generate", "--events", "5", "--generator", "nope"), 2, "no generator 'nope'"),
        (("generate", "--events", "5", "--now", "today"), 2, "ISO 8601"),
        (("generate", "--events", "0"), 2, "equal to 1"),
        (("replay", "x", "--rate", "0"), 2, "0.001"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(
    invoke: Invoke, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = invoke(*arguments)

    assert result.exit_code == code
    assert says in " ".join(result.output.split())


def test_a_registry_that_is_away_exits_with_3(invoke: Invoke, registry: MemoryRegistry) -> None:
    registry.available = False

    result = invoke("generate", "--events", 5)

    assert result.exit_code == 3
    assert "the schema registry does not answer" in result.output


def test_a_broker_that_is_away_exits_with_3_and_leaves_every_event_in_the_rejects(
    invoke: Invoke, broker: MemoryBroker, tmp_path: Path
) -> None:
    broker.available = False

    result = invoke("generate", "--events", 5)

    assert result.exit_code == 3
    assert "5 not delivered" in result.output
    assert len((tmp_path / "build/producer/rejects.jsonl").read_text().splitlines()) == 5


def test_an_interrupted_run_still_accounts_for_what_it_sent(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, stored: Stored, event: dict[str, Any]
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Candidate]:
        yield Candidate(0, event, "generator", 1, event)
        raise KeyboardInterrupt

    monkeypatch.setattr("headgate_producer.runs.generate", interrupted)

    result = invoke("generate", "--events", 5, "--json")

    assert result.exit_code == 130
    assert json.loads(result.stdout)["acknowledged"] == len(stored()) == 1


def test_settings_come_from_the_environment_then_from_the_local_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CommandSettings().kafka.bootstrap_servers == "127.0.0.1:9092"
    endpoints = tmp_path / "build/local/endpoints.json"
    endpoints.parent.mkdir(parents=True)
    endpoints.write_text(json.dumps({"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:2"}))

    monkeypatch.setenv("HEADGATE_PRODUCER_REGISTRY__URL", "http://127.0.0.1:3")
    settings = CommandSettings()

    assert settings.kafka.bootstrap_servers == "127.0.0.1:1"
    assert settings.registry.url == "http://127.0.0.1:3"


def test_endpoints_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build/local").mkdir(parents=True)
    (tmp_path / "build/local/endpoints.json").write_text("{}")

    with pytest.raises(ConfigurationError, match="start the local stack anew"):
        CommandSettings()


def test_bounds_that_contradict_each_other_are_told() -> None:
    with pytest.raises(ValueError, match="max_events must not exceed max_outstanding"):
        Settings.model_validate({"ingest": {"max_events": 10, "max_outstanding": 5}})
