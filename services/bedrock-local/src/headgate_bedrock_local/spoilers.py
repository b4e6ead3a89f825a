"""Answers that are paid for and not what was asked for: what a fault makes of a right one."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headgate_bedrock_local.answers import cut
from headgate_bedrock_local.guardrails import BLOCKED
from headgate_bedrock_local.tokens import text_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_bedrock_local.answers import Answer
    from headgate_bedrock_local.faults import Dice, Faults

# One of them at most spoils an answer; the first in this order that hits does.
_SPOILERS = tuple(
    (name, f"{name}_rate")
    for name in ("guardrail", "filter", "refusal", "empty", "truncate", "malformed", "multi_block")
)
_INSTEAD: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "guardrail": ((BLOCKED,), "guardrail_intervened"),
        "filter": (("The answer was filtered.",), "content_filtered"),
        "refusal": (("I am sorry, but I cannot help with this request.",), "end_turn"),
        "empty": ((), "end_turn"),
    }
)
"""Texts and stop reason that stand for the answer."""


def spoilt(answer: Answer, faults: Faults, dice: Dice) -> Answer:
    """The answer after at most one fault."""
    for name, rate in _SPOILERS:
        if dice.hits(name, getattr(faults, rate)):
            return _spoil(answer, name)
    return answer


def _spoil(answer: Answer, name: str) -> Answer:
    if name in _INSTEAD:
        texts, stop_reason = _INSTEAD[name]
        return replace(answer, content=[{"text": text} for text in texts], stop_reason=stop_reason)
    if name == "truncate":
        return cut(answer, max(1, answer.tokens // 2))
    if name == "malformed":
        return replace(answer, content=[_malformed(block) for block in answer.content])
    around = [{"text": "Let me look at this."}, *answer.content, {"text": "That is my answer."}]
    return replace(answer, content=around)


def _malformed(block: dict[str, Any]) -> dict[str, Any]:
    """The first property gone, every other of a wrong type; a text is cut in the middle."""
    used = block.get("toolUse")
    if used is None:
        return {"text": block["text"][: max(1, len(block["text"]) // 2)]}
    names = list(used["input"])[1:]
    return {"toolUse": {**used, "input": {name: {"malformed": text_tokens(name)} for name in names}}}
