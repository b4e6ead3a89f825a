"""Dead letters on the command line: what there is, what one says, and putting it back once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.deadletters import cli
from headgate_admin.deadletters.letters import Connections
from headgate_admin.deadletters.position import Position, source_of
from headgate_admin.main import make_app
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryRegistry, MemoryTransactionalProducer
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTRACTS = Contracts.load()
RAW, LETTERS, REPLAYS = (CONTRACTS.topic(name) for name in ("raw-events", "raw-events.dlq", "dead-letter-replays"))
EVENT = next(iter(CONTRACTS.examples(RAW.record).values()))
PERSON = EVENT["payload"]["attributes"]["user_id"]
BY = ("--by", "o-7", "--yes")


class Office:
    """The command line at a broker in memory with dead letters in it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.registry = MemoryRegistry()
        for topic in (RAW, LETTERS, REPLAYS, *map(CONTRACTS.topic, ("enriched-events", "enriched-events.dlq"))):
            self.broker.create_topic(topic.topic, 2)
            self.registry.register(topic.subject, CONTRACTS.record(topic.record).text)
        self.values = Encoder(self.registry, RAW.subject, CONTRACTS.record(RAW.record))
        letters = Encoder(self.registry, LETTERS.subject, CONTRACTS.record(LETTERS.record))
        self.maker = DeadLetters(letters, LETTERS.topic, "enricher", max_bytes=2_000, clock=lambda: 1_764_000_000.0)
        self.transactional_ids: list[str] = []

    def connect(self, _: object) -> Connections:
        return Connections(self.registry, self.read, self.read_at, self.take_over)

    def read(self, topic: str, count: int | None, take: Callable[[Record], None]) -> None:
        assert count is None
        self.broker.read_range(dict.fromkeys(self.broker.partitions(topic), 0), take)

    def read_at(self, topic: str, number: int, offset: int) -> Record | None:
        found: list[Record] = []
        self.broker.read_range({TopicPartition(topic, number): offset}, found.append)
        return found[0] if found and found[0].offset == offset else None

    def take_over(self, name: str) -> MemoryTransactionalProducer:
        self.transactional_ids.append(name)
        return MemoryTransactionalProducer(self.broker, name)

    def fail(self, value: bytes | None, cause: str, *, key: bytes | None = None, **said: Any) -> str:
        """A record of raw-events that is dead-lettered; returns its position."""
        headers = (("event-id", b"e-1"), ("blob", b"\xff\x00"), ("none", None))
        record = self.broker.append(OutgoingRecord(RAW.topic, key or PERSON.encode(), value, headers))
        self.broker.append(self.maker.record(record, cause=cause, message=f"was {cause}", **said))
        return f"{record.topic}/{record.partition}/{record.offset}"

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(make_app(), ["dlq", *arguments, "--json"])
        return result.exit_code, json.loads(result.stdout)

    def replayed(self) -> list[Record]:
        """What is in the topic with the mark of a replay."""
        return [record for record in self.broker.records(RAW.topic) if "replayed-from" in dict(record.headers)]

    def notes(self) -> list[dict[str, Any]]:
        decoder = Decoder(self.registry, CONTRACTS.record(REPLAYS.record))
        return [decoder.decode(record.value) for record in self.broker.records(REPLAYS.topic)]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Office:
    office = Office()
    monkeypatch.setattr(cli, "connect", office.connect)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADGATE_ADMIN_OPERATOR", raising=False)
    return office


def good(office: Office) -> bytes:
    return office.values.encode(EVENT)


def test_letters_are_counted_by_topic_cause_and_rule(office: Office) -> None:
    office.fail(b"\x01", "bad_magic")
    office.fail(good(office), "contract_violation", rule="r1", field="f")
    newest = office.fail(good(office), "contract_violation", rule="r1", field="f")
    office.fail(good(office), "contract_violation", rule="r2", field="f")
    code, document = office("list", "raw-events")
    assert (code, document["letters"]) == (0, 4)
    first = document["groups"][0]
    assert (first["topic"], first["cause"], first["rule"], first["letters"], first["replayed"]) == (
        "raw-events",
        "contract_violation",
        "r1",
        2,
        0,
    )
    assert office("show", first["letter"])[1]["source"] == newest
    assert office("list", "raw-events.dlq", "--cause", "bad_magic")[1]["letters"] == 1
    assert len(office("list", "--limit", "2", "raw-events")[1]["groups"]) == 2
    assert office("list", "raw-events", "--since", "2025-11-24T15:59:59Z")[1]["letters"] == 4
    assert office("list", "raw-events", "--since", "2025-11-24T16:00:01Z")[1]["letters"] == 0


def test_a_letter_that_was_sent_twice_counts_once(office: Office) -> None:
    office.fail(b"\x01", "bad_magic")
    [letter] = office.broker.records(LETTERS.topic)
    office.broker.append(OutgoingRecord(LETTERS.topic, letter.key, letter.value))
    assert office("list", "raw-events")[1]["letters"] == 1


def test_a_letter_is_shown_without_the_person_unless_asked_for(office: Office) -> None:
    place = office.fail(good(office), "contract_violation", rule="r1", field="payload.attributes.amount")
    code, document = office("show", place)
    assert (code, document["cause"], document["rule"], document["replayed"]) == (0, "contract_violation", "r1", None)
    assert PERSON not in json.dumps(document)
    assert good(office).hex() not in json.dumps(document)
    attributes = document["value"]["decoded"]["payload"]["attributes"]
    assert attributes["currency"] == EVENT["payload"]["attributes"]["currency"]
    assert document["headers"] == [
        {"name": "event-id", "value": "e-1"},
        {"name": "blob", "value": "0xff00"},
        {"name": "none", "value": None},
    ]
    _, document = office("show", place, "--reveal")
    assert (document["key"], document["value"]["hex"]) == (PERSON, good(office).hex())
    assert document["value"]["decoded"]["payload"]["attributes"]["user_id"] == PERSON


def test_a_record_is_decoded_as_far_as_it_goes(office: Office) -> None:
    value = good(office)
    names = [field["name"] for field in CONTRACTS.record(RAW.record).schema["fields"]]

    def shown(broken: bytes) -> dict[str, Any]:
        shown: dict[str, Any] = office("show", office.fail(broken, "undecodable"))[1]["value"]
        return shown

    cut = shown(value[:-4])
    assert (list(cut["decoded"]), cut["note"]) == (names[:-1], f"field {names[-1]} cannot be read")
    trailing = shown(value + b"\x00\x00")
    assert (list(trailing["decoded"]), trailing["left_bytes"]) == (names, 2)
    assert trailing["note"] == "2 bytes follow the base_event"
    unknown = shown(b"\x00\x00\x00\x27\x0f" + value[5:])
    assert (list(unknown["decoded"]), unknown["note"]) == (
        names,
        "the registry does not know schema 9999: read as base_event.v1",
    )
    assert (shown(b"\x01abc")["decoded"], shown(value[:6])["decoded"]) == (None, None)


def test_another_record_is_hidden_whole_for_nobody_says_what_is_personal_in_it(office: Office) -> None:
    foreign = {"type": "record", "name": "other", "fields": [{"name": "who", "type": "string"}]}
    schema_id = office.registry.register("other-value", json.dumps(foreign))
    place = office.fail(b"\x00" + schema_id.to_bytes(4, "big") + b"\x06Ada", "undecodable")
    assert office("show", place)[1]["value"]["decoded"] == "(personal)"
    assert office("show", place, "--reveal")[1]["value"]["decoded"] == {"who": "Ada"}


def test_a_record_is_put_back_as_it_was_with_who_and_from_where(office: Office) -> None:
    place = office.fail(good(office), "contract_violation", rule="r1", field="f")
    [original] = office.broker.records(RAW.topic)
    code, document = office("replay", "raw-events", "--position", place, *BY)
    assert (code, document["replayed"], document["letters"][0]["left"]) == (0, 1, None)
    [record] = office.replayed()
    assert (record.key, record.value, record.partition) == (original.key, original.value, original.partition)
    assert record.headers == (*original.headers, ("replayed-from", place.encode()), ("replayed-by", b"o-7"))
    [note] = office.notes()
    assert (note["source_offset"], note["letter_topic"], note["replayed_by"], note["mended"]) == (
        original.offset,
        LETTERS.topic,
        "o-7",
        False,
    )
    assert office.transactional_ids == ["admin-dlq-replay-raw-events"]
    shown = office("show", place)[1]["replayed"]
    assert (shown["replayed_by"], shown["mended"]) == ("o-7", False)
    assert office("list", "raw-events")[1]["groups"][0]["replayed"] == 1


def test_what_was_put_back_is_put_back_again_only_on_request(office: Office) -> None:
    place = office.fail(good(office), "contract_violation")
    assert office("replay", "raw-events", "--position", place, *BY)[0] == 0
    code, document = office("replay", "raw-events", "--cause", "contract_violation", *BY)
    assert (code, document["replayed"]) == (1, 0)
    assert "by o-7 already: --again" in document["letters"][0]["left"]
    assert len(office.replayed()) == 1
    assert office("replay", "raw-events", "--position", place, "--again", *BY)[0] == 0
    assert len(office.replayed()) == 2


def test_two_names_of_one_letter_put_it_back_once(office: Office) -> None:
    place = office.fail(good(office), "contract_violation")
    letter = office("show", place)[1]["letter"]
    assert office("replay", "raw-events", "--position", place, "--position", letter, *BY)[1]["replayed"] == 1


def test_what_would_fail_again_is_left_and_the_others_pass(office: Office) -> None:
    broken = {**EVENT, "event_type": "teleport"}
    office.fail(office.values.encode(broken), "contract_violation", rule="event_type_known", field="event_type")
    office.fail(good(office), "contract_violation")
    code, document = office("replay", "raw-events", "--cause", "contract_violation", *BY)
    assert (code, document["replayed"]) == (1, 1)
    [left] = [letter["left"] for letter in document["letters"] if letter["left"]]
    assert left.startswith("would fail again: event_type ")
    assert left.endswith("(rule event_type_known). Mend it: --value-file")
    assert [record.value for record in office.replayed()] == [good(office)]


def test_a_mended_value_is_put_back_in_its_place(office: Office, tmp_path: Path) -> None:
    place = office.fail(b"\x01nonsense", "bad_magic")
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(EVENT))
    code, document = office("replay", "raw-events", "--position", place, "--value-file", str(mended), *BY)
    assert (code, document["letters"][0]["mended"]) == (0, True)
    assert [record.value for record in office.replayed()] == [good(office)]
    assert office.notes()[0]["mended"] is True


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({**EVENT, "event_type": "teleport"}, "event_type_known"),
        ({**EVENT, "event_id": 7}, "event_id"),
        ({**EVENT, "new": 1}, "has no field new"),
    ],
)
def test_a_mended_value_that_breaks_the_contract_is_not_put_back(
    office: Office, tmp_path: Path, value: dict[str, Any], told: str
) -> None:
    place = office.fail(b"\x01", "bad_magic")
    (tmp_path / "mended.json").write_text(json.dumps(value))
    code, document = office("replay", "raw-events", "--position", place, "--value-file", "mended.json", *BY)
    assert (code, told in json.dumps(document), office.replayed()) == (1, True, [])


def test_a_record_too_large_for_its_letter_is_read_where_it_was(office: Office) -> None:
    attributes = {**EVENT["payload"]["attributes"], "merchant": "x" * 2_000}
    large = office.values.encode({**EVENT, "payload": {"attributes": attributes}})
    place = office.fail(large, "contract_violation")
    assert office("show", place)[1]["value"] is None
    assert office("replay", "raw-events", "--position", place, *BY)[0] == 0
    assert [(record.value, record.key) for record in office.replayed()] == [(large, PERSON.encode())]


def test_a_tombstone_is_left_unless_it_gets_a_value(office: Office, tmp_path: Path) -> None:
    place = office.fail(None, "tombstone")
    code, document = office("replay", "raw-events", "--position", place, *BY)
    assert (code, document["letters"][0]["left"]) == (1, "would fail again: tombstone. Mend it: --value-file")
    (tmp_path / "mended.json").write_text(json.dumps(EVENT))
    assert office("replay", "raw-events", "--position", place, "--value-file", "mended.json", *BY)[0] == 0


def test_a_letter_about_another_topic_is_left(office: Office) -> None:
    record = Record("enriched-events", 0, 5, 0, None, b"\x01")
    office.broker.append(office.maker.record(record, cause="bad_magic", message="was bad_magic"))
    code, document = office("replay", "raw-events", "--cause", "bad_magic", *BY)
    assert (code, document["replayed"]) == (1, 0)
    assert "is of enriched-events, which others read too" in document["letters"][0]["left"]


def test_a_dry_run_and_a_person_who_says_no_change_nothing(office: Office) -> None:
    place = office.fail(good(office), "contract_violation")
    code, document = office("replay", "raw-events", "--position", place, "--by", "o-7", "--dry-run")
    assert (code, document["replayed"], len(document["letters"])) == (0, 0, 1)
    arguments = ["dlq", "replay", "raw-events", "--position", place, "--by", "o-7"]
    result = CliRunner().invoke(make_app(), arguments, input="n\n")
    assert (result.exit_code, "1 would be put back" in result.stdout) == (1, True)
    assert (office.replayed(), office.notes()) == ([], [])


def test_who_replays_at_the_same_time_puts_back_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    place = office.fail(good(office), "contract_violation")
    take_over = office.take_over

    def lose(name: str) -> MemoryTransactionalProducer:
        ours = take_over(name)
        take_over(name)
        return ours

    monkeypatch.setattr(office, "take_over", lose)
    code, document = office("replay", "raw-events", "--position", place, *BY)
    assert (code, "Somebody else replays raw-events now" in document["errors"][0]) == (1, True)
    assert (office.replayed(), office.notes()) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("replay", "raw-events", *BY), 2, "Say which letters"),
        (("replay", "raw-events", "--cause", "tombstone", *BY), 1, "No such dead letter of raw-events"),
        (("replay", "raw-events", "--position", "raw-events/0/0", "--yes"), 2, "Say who puts them back"),
        (("replay", "raw-events", "--position", "raw-events/0", *BY), 2, "is no position"),
        (("replay", "raw-events", "--position", "raw-events/1/99", *BY), 1, "No dead letter at raw-events/1/99"),
        (("show", "budget-ledger/0/0"), 1, "budget-ledger has no dead letters"),
        (("list", "raw-events", "--since", "yesterday"), 2, "is no ISO 8601 time"),
    ],
)
def test_what_cannot_be_meant_is_refused(office: Office, arguments: tuple[str, ...], code: int, told: str) -> None:
    for partition in (0, 1):
        office.fail(good(office), "contract_violation", key=f"key-{partition}".encode())
    places = [str(source_of(record)) for record in office.broker.records(LETTERS.topic)]
    arguments = tuple(places[0] if each == "raw-events/0/0" else each for each in arguments)
    found, document = office(*arguments)
    assert (found, told in document["errors"][0]) == (code, True)


@pytest.mark.parametrize("text", ["", "a", "a/1", "a/b/1", "a/1/-2", "/1/2", "a/1/2/3"])
def test_what_is_no_position_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ConfigurationError, match="TOPIC/PARTITION/OFFSET"):
        Position.parse(text)


def test_a_key_that_is_no_position_names_no_record() -> None:
    assert source_of(Record("t.dlq", 0, 0, 0, b"\xff", None)) is None
    assert source_of(Record("t.dlq", 0, 0, 0, b"raw-events/2/31", None)) == ("raw-events", 2, 31)
