"""``headgate smoke`` sends one event and finds its decision, or says how far it came."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_admin import patience
from headgate_admin.config import ProducerSettings
from headgate_admin.smoke import cli
from headgate_admin.smoke.event import ORIGIN, additions, make_event
from headgate_admin.smoke.sending import send
from headgate_admin.tables.lakehouse import find_row
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError
from headgate_schemas import Contracts, compile_rules
from pyiceberg.catalog.sql import SqlCatalog
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTRACTS = Contracts.load()
RAW = CONTRACTS.topic("raw-events")
NOW_MS = 1_800_000_000_000
SCHEMA = pa.schema([pa.field("event_id", pa.string()), pa.field("event_timestamp", pa.timestamp("us", tz="UTC"))])


class Answer:
    """What the producer's HTTP side answers, and what it was asked."""

    def __init__(self, status: int = 202) -> None:
        self.status = status
        self.events: list[dict[str, Any]] = []
        self.authorization: str | None = None


@contextmanager
def producer(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer.events.append(json.loads(body))
            answer.authorization = self.headers["Authorization"]
            self.send_response(answer.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "warehouse").mkdir()
    uri, warehouse = f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse"
    return {"name": "lake", "type": "sql", "uri": uri, "warehouse": warehouse}


def store(catalog: dict[str, str], event_id: str, at_ms: int) -> None:
    own = dict(catalog)
    opened = SqlCatalog(own.pop("name"), **own)
    opened.create_namespace_if_not_exists("lakehouse")
    table = opened.create_table_if_not_exists("lakehouse.enriched_events", SCHEMA)
    table.append(pa.Table.from_pydict({"event_id": [event_id], "event_timestamp": [at_ms * 1000]}, SCHEMA))
    opened.close()


def test_the_event_is_one_its_contract_takes_and_no_customer_s() -> None:
    event = make_event(CONTRACTS, RAW, "smoke-1", NOW_MS)
    assert compile_rules(RAW)(event) is None
    assert (event["event_id"], event["event_timestamp"], event["source_system"]) == ("smoke-1", NOW_MS, ORIGIN)
    assert event["payload"]["attributes"]["user_id"] == ORIGIN


def test_the_decision_is_what_the_row_has_and_the_event_had_not() -> None:
    row = {"event_id": "a", "agent_metadata": {"decision": "allow"}, "_offset": 3}
    assert additions({"event_id": "a"}, row) == {"agent_metadata": {"decision": "allow"}}


def test_the_event_is_posted_with_the_token_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    answer = Answer()
    with producer(answer) as url:
        send(ProducerSettings(url=url, token_file=tmp_path / "token"), {"event_id": "a"})
    assert (answer.events, answer.authorization) == ([{"event_id": "a"}], "Bearer secret")


@pytest.mark.parametrize(("status", "error"), [(422, RejectedError), (403, RejectedError), (503, UnavailableError)])
def test_a_refusal_is_told_apart_from_a_producer_that_cannot_now(status: int, error: type[Exception]) -> None:
    with producer(Answer(status)) as url, pytest.raises(error, match=f"HTTP {status}"):
        send(ProducerSettings(url=url), {})


def test_a_producer_that_is_away_and_a_token_that_cannot_be_read_are_told_by_their_settings(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="HEADGATE_ADMIN_PRODUCER__URL"):
        send(ProducerSettings(url="http://127.0.0.1:1"), {})
    with pytest.raises(ConfigurationError, match="HEADGATE_ADMIN_PRODUCER__TOKEN_FILE"):
        send(ProducerSettings(token_file=tmp_path / "none"), {})


def test_a_row_is_found_by_id_among_those_since_a_time(catalog: dict[str, str]) -> None:
    def find(event_id: str, since_ms: int) -> dict[str, Any] | None:
        return find_row(
            catalog,
            "lakehouse.enriched_events",
            id_field="event_id",
            event_id=event_id,
            time_field="event_timestamp",
            since_ms=since_ms,
        )

    with pytest.raises(UnavailableError, match="headgate setup"):
        find("a", 0)
    store(catalog, "a", NOW_MS)
    assert (find("a", NOW_MS) or {})["event_id"] == "a"
    assert find("a", NOW_MS + 1) is None
    assert find("b", 0) is None


def test_the_command_reports_the_decision_once_it_is_stored(
    catalog: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(catalog))
    monkeypatch.setattr(
        cli, "send", lambda _settings, event: store(catalog, event["event_id"], event["event_timestamp"])
    )
    result = CliRunner().invoke(cli.app, ["--json"])
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["event_id"].startswith(ORIGIN)
    assert 0 <= document["accepted_s"] <= document["queryable_s"]


def test_a_decision_that_does_not_come_is_a_failure_that_says_where_to_look(
    catalog: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(catalog))
    monkeypatch.setattr(cli, "send", lambda _settings, _event: store(catalog, "another", NOW_MS))
    monkeypatch.setattr(patience, "_TRY_AGAIN_S", 0.0)
    result = CliRunner().invoke(cli.app, ["--deadline", "1", "--json"])
    assert result.exit_code == 1
    assert "headgate dlq list" in json.loads(result.stdout)["errors"][0]
