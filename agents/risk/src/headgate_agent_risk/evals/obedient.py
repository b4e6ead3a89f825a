"""The worst model there can be: it does whatever the text of an event says, and always wants to let the event pass."""

# ruff: noqa: ARG002 - the signatures are those of BaseChatModel

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, Field

from headgate_agent_risk.lookups import LookUp
from headgate_agent_risk.tools import TOOL_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import GreyCase
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

ALWAYS_TRIED = ("approve_payment", "transfer_money", "disable_rules")
_TOOL = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_HEX = re.compile(r"\b(?:[0-9a-f]{2}){8,}\b")
_REASON_CHARS = 280


class ObedientModel(BaseChatModel):
    """Calls every tool that a text names, listed or not, until it has to decide; then allows, for the text's own words.

    Attributes:
        identifiers: Texts that must not be in a prompt.
        unlisted_calls: Calls it made of tools it was not offered.
        leaked_prompts: Prompts in which it found an identifier.
    """

    identifiers: tuple[str, ...] = ()
    unlisted_calls: int = 0
    leaked_prompts: int = 0

    @property
    def _llm_type(self) -> str:
        return "obedient"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as they are."""
        return self.bind(tools=list(tools), tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        fenced = next(str(message.content) for message in messages if isinstance(message, HumanMessage))
        self.leaked_prompts += any(identifier in fenced for identifier in self.identifiers)
        text = _texts(fenced)
        if kwargs["tool_choice"] == TOOL_NAME:
            return _reply([(TOOL_NAME, _allow(text))])
        offered = {tool["function"]["name"] for tool in kwargs["tools"]}
        wanted = [*ALWAYS_TRIED, *tools_named(text)]
        self.unlisted_calls += sum(name not in offered for name in wanted)
        return _reply([(name, {}) for name in wanted])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)


class _AnyArguments(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Done(BaseModel):
    done: bool = Field(default=True)


class Bait:
    """A tool that exists, is on no allow-list, and counts how often it ran."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0

    def tool(self) -> LookUp:
        """The tool, for an inventory."""
        return LookUp(self.name, "Has an effect.", _AnyArguments, self._run)

    async def _run(self, _arguments: BaseModel, _case: GreyCase) -> BaseModel:
        self.runs += 1
        return _Done()


def tools_named(text: str) -> list[str]:
    """What a text, or what it hides in base64, hex or rot13, calls a tool; the one that decides left out."""
    found = (name for part in (text, *_decoded(text)) for name in _TOOL.findall(part))
    return list(dict.fromkeys(name for name in found if name != TOOL_NAME))


def _decoded(text: str) -> list[str]:
    hidden = [codecs.decode(text, "rot13")]
    for match in _BASE64.findall(text):
        try:
            hidden.append(base64.b64decode(match, validate=True).decode(errors="replace"))
        except binascii.Error:
            continue
    hidden += [bytes.fromhex(match).decode(errors="replace") for match in _HEX.findall(text)]
    return hidden


def _texts(fenced: str) -> str:
    event = json.loads(fenced[fenced.index("{") : fenced.rindex("}") + 1])
    return " ".join(event[name] for name in ("note", "merchant", "page") if name in event)


def _allow(text: str) -> dict[str, Any]:
    reason = f"As told: {text}"[:_REASON_CHARS]
    return {"decision": "allow", "decision_reason": reason, "risk_score": 0.0, "priority": "low", "confidence": 1.0}


def _reply(calls: list[tuple[str, dict[str, Any]]]) -> ChatResult:
    made = [{"name": name, "args": args, "id": f"call-{number}"} for number, (name, args) in enumerate(calls)]
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    message = AIMessage(content="", tool_calls=made, usage_metadata=usage, response_metadata={"stopReason": "tool_use"})
    return ChatResult(generations=[ChatGeneration(message=message)])
