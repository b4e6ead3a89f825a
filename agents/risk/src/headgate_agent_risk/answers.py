"""Reading a model's reply: the decision, or the calls of other tools before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_agent_toolkit.answers import check_worth

from headgate_agent_risk.tools import DECISION, RecordDecision

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, ToolCall


def read_answer(reply: AIMessage, *, final: bool) -> RecordDecision | list[ToolCall]:
    """Take the decision, or the calls of other tools before it, out of a reply; text and reasoning are left aside.

    Args:
        reply: The model's reply.
        final: Only the decision is wanted: no other tool may be called any more.

    Raises:
        UselessAnswerError: Cut off, filtered, refused or empty.
        InvalidAnswerError: No single valid call of the tool that decides.
    """
    check_worth(reply)
    if not final and not reply.invalid_tool_calls and all(call["name"] != DECISION.name for call in reply.tool_calls):
        return reply.tool_calls
    return DECISION.read(reply)
