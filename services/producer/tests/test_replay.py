from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_producer.candidates import Candidate, merge
from headgate_producer.files import FileError, Layout, RowFile
from headgate_producer.mapping import MappingError, MappingSpec, load_mapping
from headgate_producer.replay import replay, replay_events
from headgate_producer.rowmapper import RowMapper
from headgate_schemas import Contracts, RecordSchema, TopicContract, compile_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_800_000_000_000
ROWS = ("00002 19970112  1   12.00", "00001 19970101  1   11.77", "00002 19970112  5   77.00")
SHOP: dict[str, Any] = {
    "description": "orders of a shop",
    "record": "base_event",
    "source": {"format": "csv"},
    "fields": {
        "event_id": {"template": "{shop}-{row:03d}"},
        "event_type": {"constant": "transaction"},
        "source_system": {"column": "shop"},
        "payload.attributes.user_id": {"column": "user id"},
        "payload.attributes.amount": {"column": "total"},
        "payload.attributes.currency": {"constant": "EUR"},
        "payload.attributes.merchant": {"column": "shop"},
    },
    "time": {"column": "at", "format": "iso8601", "order": "file"},
    "label": {"column": "truth"},
}

Replay = Callable[..., list[Candidate]]


@pytest.fixture
def play(topic: TopicContract, record: RecordSchema) -> Replay:
    def run(path: Path, spec: MappingSpec | dict[str, Any], limit: int | None = None) -> list[Candidate]:
        spec = MappingSpec.model_validate(spec)
        file = RowFile(path, spec.source)
        return list(replay(file, RowMapper(spec, file, topic, record), spec.time, now_ms=NOW_MS, limit=limit))

    return run


@pytest.fixture
def cdnow(contracts: Contracts) -> MappingSpec:
    return load_mapping("cdnow", contracts.directory / "mappings")


@pytest.fixture
def shop_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str) -> Path:
        path = tmp_path / "orders.csv"
        path.write_text("at,shop,user id,total,truth\n" + "".join(f"{row}\n" for row in rows))
        return path

    return write


def test_purchases_become_transactions_by_time_that_end_now(
    play: Replay, cdnow: MappingSpec, cdnow_file: Callable[..., Path], topic: TopicContract
) -> None:
    candidates = play(cdnow_file(*ROWS), cdnow)

    assert [candidate.row for candidate in candidates] == [2, 1, 3]
    assert candidates[0].event == {
        "event_id": "cdnow-2",
        "event_type": "transaction",
        "source_system": "cdnow",
        "event_timestamp": NOW_MS - 3_600_000,
        "payload": {"attributes": {"user_id": "00001", "amount": 11.77, "currency": "USD", "channel": "web"}},
    }
    assert candidates[-1].time_ms == NOW_MS
    assert [compile_rules(topic)(candidate.event or {}) for candidate in candidates] == [None] * 3


def test_a_limited_replay_takes_the_earliest_rows_and_still_ends_now(
    play: Replay, cdnow: MappingSpec, cdnow_file: Callable[..., Path]
) -> None:
    candidates = play(cdnow_file(*ROWS), cdnow, limit=2)

    assert [candidate.row for candidate in candidates] == [2, 1]
    assert [candidate.time_ms for candidate in candidates] == [NOW_MS - 3_600_000, NOW_MS]


@given(
    days=st.lists(st.integers(1, 28), min_size=1, max_size=30),
    span_s=st.integers(1, 10_000_000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_replay_keeps_the_order_of_recorded_times_and_ends_now(
    play: Replay, cdnow: MappingSpec, cdnow_file: Callable[..., Path], days: list[int], span_s: int
) -> None:
    path = cdnow_file(*(f"{row:05d} 199701{day:02d} 1 1.00" for row, day in enumerate(days)))
    spec = cdnow.model_copy(update={"time": cdnow.time.over(span_s)})

    candidates = play(path, spec)

    assert [days[candidate.row - 1] for candidate in candidates] == sorted(days)
    same_day = [(days[candidate.row - 1], candidate.row) for candidate in candidates]
    assert same_day == sorted(same_day)
    times = [candidate.time_ms for candidate in candidates]
    assert times == sorted(times)
    assert times[-1] == NOW_MS
    assert times[0] == NOW_MS - (span_s * 1000 if len(days) > 1 else 0)
    assert play(path, spec) == candidates


def test_rows_that_cannot_be_mapped_are_told_with_column_and_remedy_and_the_rest_goes_on(
    play: Replay, cdnow: MappingSpec, cdnow_file: Callable[..., Path]
) -> None:
    candidates = play(cdnow_file(*ROWS, "00004 1997-01 1 2.00", "00005 19970102 1", "00006 19970103 1 much"), cdnow)

    faults = {candidate.row: candidate.fault for candidate in candidates if candidate.fault}
    assert set(faults) == {4, 5, 6}
    assert "column 'date'" in faults[4].message
    assert "time.format" in faults[4].message
    assert "has 3 columns where 4 are expected" in faults[5].message
    assert "column 'dollar_value' is no double" in faults[6].message
    assert [faults[row].rule for row in (4, 5, 6)] == ["mapping", "row", "mapping"]
    assert [candidate.row for candidate in candidates if candidate.event] == [2, 1, 3]


def test_a_refused_row_is_shown_by_column_where_it_has_them_all(
    play: Replay, cdnow: MappingSpec, cdnow_file: Callable[..., Path]
) -> None:
    whole, short = play(cdnow_file("00004 1997-01 1 2.00", "00005 19970102"), cdnow)

    expected = {"customer_id": "00004", "date": "1997-01", "number_of_cds": "1", "dollar_value": "2.00"}
    assert whole.original == expected
    assert short.original == ["00005", "19970102"]


def test_csv_columns_templates_labels_and_empty_cells_are_mapped(play: Replay, shop_file: Callable[..., Path]) -> None:
    path = shop_file('2026-01-01T00:00:00Z,"a,b",u 1,3.5,fraud', "2026-01-01T00:00:01+00:00,c,u2,,")

    first, second = play(path, SHOP)

    assert first.event is not None
    assert second.event is not None
    assert first.event["event_id"] == "a,b-001"
    assert first.event["payload"]["attributes"]["user_id"] == "u 1"
    assert first.event["event_timestamp"] == 1_767_225_600_000
    assert (first.label, second.label) == ("fraud", None)
    assert second.event["payload"]["attributes"]["amount"] is None
    assert "label" not in first.event


def test_json_lines_are_mapped_by_path_and_broken_lines_are_refused(play: Replay, tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl.gz"
    lines = ['{"at": 1767225600000, "who": {"id": 17}, "total": 3, "shop": "a"}', "{broken", "[1]", ""]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines))
    fields = {**SHOP["fields"], "payload.attributes.user_id": {"column": "who.id"}}
    spec = {
        **SHOP,
        "source": {"format": "json_lines"},
        "fields": fields,
        "time": {"column": "at", "format": "epoch_ms", "order": "file"},
        "label": None,
    }

    mapped, broken, array = play(path, spec)

    assert mapped.event is not None
    assert mapped.event["payload"]["attributes"]["user_id"] == "17"
    assert mapped.event["payload"]["attributes"]["amount"] == 3
    assert broken.fault is not None
    assert "no JSON" in broken.fault.message
    assert (broken.original, array.original) == ("{broken", [1])


def test_compression_keeps_relative_distances(play: Replay, shop_file: Callable[..., Path]) -> None:
    path = shop_file("2026-01-01T00:00:00Z,a,u,1,", "2026-01-01T00:01:00Z,a,u,1,", "2026-01-01T00:02:00Z,a,u,1,")
    time = {"column": "at", "format": "iso8601", "end": "2026-06-01T00:00:00Z", "compression": 60}

    candidates = play(path, {**SHOP, "time": time})

    assert [candidate.time_ms - candidates[-1].time_ms for candidate in candidates] == [-2000, -1000, 0]
    assert candidates[-1].time_ms == 1_780_272_000_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"record": "other"}, "record: the mapping makes other, but topic raw-events holds base_event"),
        ({"fields": {"nope": {"constant": 1}}}, "fields.nope: base_event.v1 has no such field"),
        ({"fields": {"event_id": {"column": "order"}}}, "the file has no column 'order'; it has at, shop"),
        ({"fields": {"event_id": {"template": "{order}"}}}, "the file has no column 'order'"),
        ({"fields": {"event_id": {"template": "{row"}}}, "the template is malformed"),
        ({"fields": {"event_id": {"template": "{row!r}"}}}, "has a conversion"),
        ({"fields": {"event_timestamp": {"column": "at"}}}, "is the event's time"),
        ({"fields": {"event_id": {"constant": "a"}}}, "payload.attributes.user_id is missing"),
        ({"time": {"column": "when", "format": "iso8601"}}, "time: the file has no column 'when'"),
    ],
)
def test_a_mapping_that_does_not_fit_says_file_entry_and_remedy(
    play: Replay, shop_file: Callable[..., Path], change: dict[str, Any], says: str
) -> None:
    path = shop_file()

    with pytest.raises(MappingError) as caught:
        play(path, {**SHOP, **change})

    assert says in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fields: [", "cannot be read"),
        (yaml.safe_dump({**SHOP, "fields": {"event_id": {"column": "a", "constant": "b"}}}), "exactly one of column"),
        (yaml.safe_dump({**SHOP, "time": {"column": "at", "format": "iso8601", "span_s": 5}}), "need `end`"),
        (
            yaml.safe_dump(
                {**SHOP, "time": {"column": "a", "format": "x", "end": "now", "span_s": 1, "compression": 2}}
            ),
            "not both",
        ),
        (yaml.safe_dump({**SHOP, "source": {"format": "csv", "header": False}}), "name the columns in one place"),
        (yaml.safe_dump({**SHOP, "source": {"format": "csv", "delimiter": "||"}}), "is one character"),
        (yaml.safe_dump({**SHOP, "extra": 1}), "extra"),
    ],
)
def test_a_wrong_mapping_file_is_refused_with_its_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    with pytest.raises(MappingError) as caught:
        load_mapping(str(path), tmp_path)

    assert says in str(caught.value)
    assert "wrong.yaml" in str(caught.value)


def test_an_unknown_mapping_lists_those_there_are(contracts: Contracts) -> None:
    with pytest.raises(MappingError, match="cdnow"):
        load_mapping("nope", contracts.directory / "mappings")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.csv", None, "cannot be read"),
        ("empty.csv", b"", "the file is empty"),
        ("latin.csv", "ä,b\n".encode("latin-1"), "set `encoding`"),
        ("plain.csv.gz", b"a,b\n", "cannot be read"),
        ("cut.csv.gz", gzip.compress(b"a,b\n" * 5000, mtime=0)[:40], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(FileError, match=says):
        list(RowFile(tmp_path / name, Layout(format="csv")))


def test_columns_can_be_named_by_the_layout(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("1|2\n\n3|4\n")

    file = RowFile(tmp_path / "rows.txt", Layout(format="delimited", delimiter="|", header=False, columns=("a", "b")))

    assert [(row.number, row.cells) for row in file] == [(1, ["1", "2"]), (2, ["3", "4"])]


def test_events_as_json_lines_need_no_mapping(tmp_path: Path, topic: TopicContract) -> None:
    (tmp_path / "events.jsonl").write_text('{"event_timestamp": 5}\nnonsense\n')

    event, broken = replay_events(RowFile(tmp_path / "events.jsonl", Layout(format="json_lines")), topic)

    assert (event.event, event.time_ms) == ({"event_timestamp": 5}, 5)
    assert broken.fault is not None


def test_sources_are_merged_by_time_up_to_the_limit() -> None:
    def source(name: str, *times: int) -> list[Candidate]:
        return [Candidate(time, {}, name, row, {}) for row, time in enumerate(times, 1)]

    merged = list(merge([source("a", 1, 4, 9), source("b", 2, 4, 5)], limit=5))

    assert [(candidate.time_ms, candidate.origin) for candidate in merged] == [
        (1, "a"),
        (2, "b"),
        (4, "a"),
        (4, "b"),
        (5, "b"),
    ]
