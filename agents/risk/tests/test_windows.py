"""An account's windows as a tool answers with them: of use, or absent."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest
from headgate_agent_risk.lookups import AccountHistory, NoArguments, read_only_tools
from headgate_agent_risk.windows import WINDOWS
from headgate_schemas.agent import Window

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
COUNTS = {"payments": 3, "failed_logins": 1, "merchants": 2, "countries": 1, "devices": 0}


@pytest.fixture(scope="module")
def asked(context: Any, grey: Any) -> Any:
    """The account's history of an event at noon whose windows ended so long before."""

    def ask(sums: dict[str, float] | None = None, **ended_ms: int) -> AccountHistory:
        case = grey()
        at_ms = case.event["event_timestamp"]
        sizes = {"last_10m": 10 * MINUTE_MS, "last_1h": HOUR_MS, "last_24h": 24 * HOUR_MS}
        profile = {
            WINDOWS[name]: Window(at_ms - ms - sizes[name], at_ms - ms, 4, COUNTS, sums or {})
            for name, ms in ended_ms.items()
        }
        (tool,) = [
            tool for tool in read_only_tools(context.policy, context.reference) if tool.name == "account_history"
        ]
        found = asyncio.run(tool.find(NoArguments(), dataclasses.replace(case, profile=profile)))  # type: ignore[arg-type] - any awaitable
        assert isinstance(found, AccountHistory)
        return found

    return ask


def test_windows_say_what_the_account_did_and_how_long_ago_that_is(asked: Any) -> None:
    found = asked({"amount.USD": 72.0, "amount.EUR": 16.5, "amount.XPF": 1e6}, last_24h=90 * MINUTE_MS)
    assert found.known is False
    assert found.last_24h.model_dump() == {**COUNTS, "spent": 2.5, "minutes_ago": 90.0}
    assert (found.last_1h, found.last_10m) == (None, None)


@pytest.mark.parametrize(
    ("ended_ms", "of_use"), [(-1, False), (0, True), (HOUR_MS, True), (HOUR_MS + 1, False), (30 * 24 * HOUR_MS, False)]
)
def test_windows_behind_the_event_or_longer_ago_than_they_are_long_are_absent(
    asked: Any, *, ended_ms: int, of_use: bool
) -> None:
    assert (asked(last_1h=ended_ms).last_1h is not None) is of_use


def test_definitions_of_others_and_their_names_do_no_harm(context: Any, grey: Any) -> None:
    (tool,) = [tool for tool in read_only_tools(context.policy, context.reference) if tool.name == "account_history"]
    at_ms = grey().event["event_timestamp"]
    profile = {
        "theirs_1h": Window(at_ms - HOUR_MS, at_ms, 1, {"payments": 9}, {}),
        WINDOWS["last_1h"]: Window(at_ms - HOUR_MS, at_ms, 1, {"theirs": 9}, {"theirs.USD": 9.0}),
    }
    found: Any = asyncio.run(tool.find(NoArguments(), dataclasses.replace(grey(), profile=profile)))  # type: ignore[arg-type] - any awaitable
    assert found.last_1h.payments == found.last_1h.spent == 0


def test_a_window_is_evidence_figure_by_figure_and_the_model_reads_it_as_one(context: Any, grey: Any) -> None:
    case = grey()
    at_ms = case.event["event_timestamp"]
    profile = {WINDOWS["last_10m"]: Window(at_ms - 10 * MINUTE_MS, at_ms, 4, COUNTS, {"amount.USD": 90.0})}
    call = {"name": "account_history", "args": {}, "id": "call-0", "type": "tool_call"}
    found = asyncio.run(context.toolbox().answer([call], dataclasses.replace(case, profile=profile)))
    assert {each.name: each.value for each in found.evidence} == {
        "account_history.known": "false",
        "account_history.last_10m.payments": "3",
        "account_history.last_10m.spent": "2.5",
        "account_history.last_10m.failed_logins": "1",
        "account_history.last_10m.merchants": "2",
        "account_history.last_10m.countries": "1",
    }
    answer = json.loads(found.messages[0].content)
    assert answer["last_10m"] == {**COUNTS, "spent": 2.5, "minutes_ago": 0.0}
    assert "last_1h" not in answer
