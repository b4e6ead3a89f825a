"""Plain conversations as Converse takes them: what langchain-aws makes of text, tool calls and their results, at once.

langchain-aws converts whatever a message may hold, and copies every message on the way: a millisecond a call. Agents
that decide on events say text and call tools; anything else is left to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

Turn = dict[str, Any]
_OWN_PROVIDERS = frozenset({None, "bedrock_converse", "bedrock"})


class _NotPlainError(Exception):
    """A message holds something that only langchain-aws knows how to write."""


def plain_turns(messages: Sequence[BaseMessage]) -> tuple[list[Turn], list[dict[str, Any]]] | None:
    """The turns and the system text of a conversation that is text, tool calls and their results.

    Returns:
        Converse's ``messages`` and ``system``, as langchain-aws would write them; None where it has to.
    """
    turns: list[Turn] = []
    system: list[dict[str, Any]] = []
    try:
        for message in messages:
            _WRITERS[type(message)](message, turns, system)
    except (_NotPlainError, KeyError):
        return None
    return (turns, system) if turns and turns[-1]["role"] == "user" else None


def _system(message: BaseMessage, _turns: list[Turn], system: list[dict[str, Any]]) -> None:
    if system:
        raise _NotPlainError  # as with neighbours below
    system.append(_text(message.content))


def _human(message: BaseMessage, turns: list[Turn], _system: list[dict[str, Any]]) -> None:
    if turns and turns[-1]["role"] == "user":
        raise _NotPlainError  # langchain merges the texts of neighbours
    turns.append({"role": "user", "content": [_text(message.content)]})


def _assistant(message: BaseMessage, turns: list[Turn], _system: list[dict[str, Any]]) -> None:
    metadata = message.response_metadata
    own = metadata.get("model_provider") in _OWN_PROVIDERS and metadata.get("output_version") != "v1"
    if not own or not isinstance(message, AIMessage) or not isinstance(message.content, list):
        raise _NotPlainError
    called = {call["id"]: call for call in message.tool_calls}
    content = [_block(block, called) for block in message.content]
    if called or not content or (turns and turns[-1]["role"] == "assistant"):
        raise _NotPlainError
    turns.append({"role": "assistant", "content": content})


def _block(block: object, called: dict[str | None, Any]) -> dict[str, Any]:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text" and isinstance(block, dict) and block.keys() == {"type", "text"}:
        return _text(block["text"])
    call = called.pop(block.get("id"), None) if kind == "tool_use" and isinstance(block, dict) else None
    if call is None:
        raise _NotPlainError
    return {"toolUse": {"toolUseId": call["id"], "input": call["args"], "name": call["name"]}}


def _result(message: BaseMessage, turns: list[Turn], _system: list[dict[str, Any]]) -> None:
    if not isinstance(message, ToolMessage):
        raise _NotPlainError
    if not turns or turns[-1]["role"] != "user":
        turns.append({"role": "user", "content": []})
    result = {"content": [_text(message.content)], "toolUseId": message.tool_call_id, "status": message.status}
    turns[-1]["content"].append({"toolResult": result})


def _text(content: object) -> dict[str, Any]:
    if not isinstance(content, str) or not content or content.isspace():
        raise _NotPlainError
    return {"text": content}


_WRITERS = {SystemMessage: _system, HumanMessage: _human, AIMessage: _assistant, ToolMessage: _result}
