"""The allow-list: what is on it runs in its time, what is not never runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from headgate_agent_risk.external import Outside
from headgate_agent_risk.lookups import CurrencyArguments, LookUp, NoArguments, read_only_tools
from headgate_agent_risk.toolbox import MOST_CALLS, Found, Toolbox
from headgate_agent_toolkit.masking import Masker
from headgate_schemas.agent import Evidence
from pydantic import BaseModel

NOBODY = Outside((), Masker({}, ()))


class Said(BaseModel):
    known: bool = False
    count: int = 0
    share: float = 0.25
    nothing: str | None = None


class Inventory:
    """Two tools that count their runs, one of them slow."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def tools(self) -> list[LookUp]:
        return [
            LookUp("quick", "Quick.", CurrencyArguments, self.quick),
            LookUp("slow", "Slow.", NoArguments, self.slow),
            LookUp("unlisted", "Not on the list.", NoArguments, self.unlisted),
            LookUp("broken", "Raises a time-out of its own.", NoArguments, self.broken),
        ]

    async def quick(self, arguments: CurrencyArguments, _case: Any) -> Said:
        self.runs.append(arguments.currency)
        return Said()

    async def slow(self, _arguments: NoArguments, _case: Any) -> Said:
        await asyncio.sleep(60)
        return Said()

    async def unlisted(self, _arguments: NoArguments, _case: Any) -> Said:
        self.runs.append("unlisted")
        return Said()

    async def broken(self, _arguments: NoArguments, _case: Any) -> Said:
        raise TimeoutError("a source of the tool")


@pytest.fixture
def inventory() -> Inventory:
    return Inventory()


def called(name: str, number: int = 0, **args: Any) -> Any:
    return {"name": name, "args": args, "id": f"call-{number}", "type": "tool_call"}


def answered(inventory: Inventory, case: Any, *calls: Any) -> Found:
    toolbox = Toolbox(inventory.tools(), allowed=("quick", "slow", "broken"), time_limit_s=0.02, outside=NOBODY)
    return asyncio.run(toolbox.answer(calls, case))


def test_listed_tool_answers_in_json_and_leaves_evidence(inventory: Inventory, grey: Any) -> None:
    found = answered(inventory, grey(), called("quick", currency="USD"))
    (message,) = found.messages
    assert json.loads(str(message.content)) == {"known": False, "count": 0, "share": 0.25}
    assert (message.tool_call_id, message.status) == ("call-0", "success")
    assert found.evidence == (Evidence("tool", "quick.known", "false"), Evidence("tool", "quick.share", "0.25"))
    assert found.unlisted == 0


def test_unlisted_tool_is_refused_counted_and_never_run(inventory: Inventory, grey: Any) -> None:
    found = answered(inventory, grey(), called("unlisted"), called("transfer_money", 1, amount=5))
    assert inventory.runs == []
    assert found.unlisted == 2
    assert [message.status for message in found.messages] == ["error", "error"]
    assert [message.tool_call_id for message in found.messages] == ["call-0", "call-1"]
    assert all("there is no such tool; there are quick, slow" in str(message.content) for message in found.messages)


@pytest.mark.parametrize("args", [{}, {"currency": "usd"}, {"currency": "USD", "user_id": "customer-1"}])
def test_wrong_arguments_are_refused_with_the_reason(inventory: Inventory, grey: Any, args: dict[str, str]) -> None:
    found = answered(inventory, grey(), called("quick", **args))
    assert inventory.runs == []
    assert found.messages[0].status == "error"
    assert found.evidence == ()
    assert "customer-1" not in str(found.messages[0].content)


def test_slow_tool_is_cut_off(inventory: Inventory, grey: Any) -> None:
    found = answered(inventory, grey(), called("slow"), called("quick", 1, currency="EUR"))
    assert [message.status for message in found.messages] == ["error", "success"]
    assert "took too long" in str(found.messages[0].content)


def test_tools_own_timeout_is_not_taken_for_the_limit(inventory: Inventory, grey: Any) -> None:
    with pytest.raises(TimeoutError, match="a source of the tool"):
        answered(inventory, grey(), called("broken"))


def test_no_reply_gets_more_than_so_many_calls_answered(inventory: Inventory, grey: Any) -> None:
    calls = [called("quick", number, currency="USD") for number in range(MOST_CALLS + 3)]
    found = answered(inventory, grey(), *calls)
    assert len(inventory.runs) == MOST_CALLS
    assert [message.tool_call_id for message in found.messages] == [call["id"] for call in calls]
    assert [message.status for message in found.messages[MOST_CALLS:]] == ["error"] * 3


def test_list_that_names_no_tool_is_refused(context: Any) -> None:
    tools = read_only_tools(context.policy, context.reference)
    with pytest.raises(ValueError, match="names no tool: transfer_money"):
        Toolbox(tools, allowed=("account_history", "transfer_money"), time_limit_s=1, outside=NOBODY)


def test_only_listed_tools_are_offered_with_their_arguments(context: Any) -> None:
    policy = context.policy.model_copy(update={"tools": ("currency_reference",)})
    tools = read_only_tools(policy, context.reference)
    (schema,) = Toolbox(tools, allowed=policy.tools, time_limit_s=1, outside=NOBODY).schemas()
    assert schema["function"]["name"] == "currency_reference"
    assert schema["function"]["parameters"]["required"] == ["currency"]
    assert schema["function"]["parameters"]["additionalProperties"] is False
