"""A Converse request as a small chat model takes it: messages of text, and a grammar that its answer must follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_bedrock_local.requests import Conversation, ConverseRequest
    from headgate_bedrock_local.tool_config import Block, ToolSpec

_COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""For the grammar's compiler: no white space between tokens of JSON, on which a small model would spend its answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer has to look like.

    Attributes:
        tools: Tools of which one is called; empty where text is wanted.
        schema: JSON schema of the whole answer; None where text may be free.
    """

    tools: tuple[ToolSpec, ...]
    schema: Mapping[str, Any] | None

    @property
    def grammar(self) -> str | None:
        """The schema in the language of llama.cpp's grammars."""
        if self.schema is None:
            return None
        return f"%llguidance {{}}\nstart: %json {orjson.dumps({**self.schema, **_COMPACT}).decode()}"

    def read(self, text: str) -> tuple[str, Any] | None:
        """Name and arguments of the tool called; None where there is none, or the text ends before its JSON does."""
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            # The name is certain where one tool was allowed, and a call cut off before its end has no arguments.
            return (self.tools[0].name, {}) if len(self.tools) == 1 else None
        if len(self.tools) == 1:
            return self.tools[0].name, said
        return said["name"], said["arguments"]


def shape_of(request: ConverseRequest) -> Shape:
    """The shape a request asks for; where tools are offered and not forced, one is called until one was answered."""
    if request.tools is not None and (request.tools.must_use or not _tool_answered(request)):
        forced = request.tools.forced
        tools = tuple(spec for name, spec in request.tools.specs.items() if forced in (None, name))
        return Shape(tools, tools[0].input_schema.json_schema if len(tools) == 1 else _one_of(tools))
    structured = request.answer_schema()
    return Shape((), structured[1] if structured else None)


def chat_messages(conversation: Conversation, tools: Sequence[ToolSpec]) -> list[dict[str, str]]:
    """The conversation as roles and texts.

    Raises:
        ServiceError: ValidationException where there is more to it than texts and tools.
    """
    system = [_text(block) for block in conversation.system]
    if tools:
        system.append(_manual(tools))
    messages = [{"role": "system", "content": _joined(system)}] if system else []
    turns = ((turn.role, _joined([_text(block) for block in turn.content])) for turn in conversation.messages)
    return [*messages, *({"role": role, "content": text} for role, text in turns)]


def _tool_answered(request: ConverseRequest) -> bool:
    return any("toolResult" in block for block in request.messages[-1].content)


def _one_of(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.input_schema.json_schema},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"anyOf": calls}


def _manual(tools: Sequence[ToolSpec]) -> str:
    if len(tools) == 1:
        return f"Answer with the JSON arguments of {tools[0].name}: {tools[0].description or ''}"
    lines = [f"- {tool.name}: {tool.description or ''}" for tool in tools]
    return "\n".join(["Tools:", *lines, 'Answer with one JSON object: {"name": a tool, "arguments": its arguments}.'])


def _joined(texts: Sequence[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _text(block: Block) -> str:
    kind, value = next(iter(block.items()))
    if kind == "text":
        return str(value)
    if kind == "cachePoint":
        return ""
    if kind == "guardContent" and "text" in value:
        return str(value["text"]["text"])
    if kind == "toolUse":
        return orjson.dumps({"name": value.get("name"), "arguments": value.get("input")}).decode()
    if kind == "toolResult":
        return _joined([_result(part) for part in value.get("content", ())])
    raise ServiceError("ValidationException", f"This model reads text and no block {kind!r}.")


def _result(part: Mapping[str, Any]) -> str:
    return str(part["text"]) if "text" in part else orjson.dumps(part.get("json")).decode()
