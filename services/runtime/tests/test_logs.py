from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from headgate_runtime.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_json_with_who_when_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("enricher", "INFO", instance="enricher-0")
    structlog.get_logger("a").info("started", partitions=3)
    logging.getLogger("library").warning("from %s", "elsewhere")
    first, second = lines(capsys)
    assert first.pop("ts") < second.pop("ts")  # type: ignore[operator]  # both are ISO texts
    who = {"service": "enricher", "instance": "enricher-0"}
    assert first == {"event": "started", "level": "info", "partitions": 3, **who}
    assert second == {"event": "from elsewhere", "level": "warning", **who}


def test_a_traceback_has_no_local_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("enricher", "INFO", instance="enricher-0")
    payload = "personal-data"
    try:
        int(payload[:0])
    except ValueError:
        structlog.get_logger("a").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError" in str(line["exception"])
    assert payload not in str(line)


def test_the_audit_line_is_written_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("enricher", "ERROR", instance="enricher-0")
    structlog.get_logger("a").info("quiet")
    structlog.get_logger("headgate.audit").info("control", action="pause")
    assert [line["event"] for line in lines(capsys)] == ["control"]
