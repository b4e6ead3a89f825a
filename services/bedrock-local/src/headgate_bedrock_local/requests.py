"""The body of Converse, ConverseStream and CountTokens, parsed and checked as the service checks it."""

from __future__ import annotations

from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, Field, InstanceOf, ValidationError

from headgate_bedrock_local.schema_rules import check_answer_schema
from headgate_bedrock_local.tokens import blocks_tokens
from headgate_bedrock_local.tool_config import Block, Tools, Wire, parse_tools
from headgate_bedrock_local.wire import ServiceError

Shape = TypeVar("Shape", bound=BaseModel)

_MOST_CACHE_POINTS = 4
_DEFAULT_MAX_TOKENS = 4_096
_SCHEMAS_KEPT = 256
_BLOCKS = frozenset(
    {
        "text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint",
        "reasoningContent", "citationsContent", "searchResult",
    }
)  # fmt: skip


class Message(Wire):
    """One turn; every block of its content has exactly one key."""

    role: Literal["user", "assistant"]
    content: list[Block] = Field(min_length=1)


class InferenceConfig(Wire):
    """Limits of the answer; the policy backend checks sampling and has no use for it."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, max_length=4)


class GuardrailConfig(Wire):
    """The guardrail a conversation passes."""

    guardrail_identifier: str = Field(
        pattern=r"^([a-z0-9]+|arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+)$",
        max_length=2_048,
    )
    guardrail_version: str = Field(pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")
    trace: Literal["enabled", "disabled", "enabled_full"] = "disabled"


class _JsonSchemaText(Wire):
    schema_text: str = Field(alias="schema")
    name: str | None = None


class _Structure(Wire):
    json_schema: _JsonSchemaText


class _TextFormat(Wire):
    type: Literal["json_schema"]
    structure: _Structure


class OutputConfig(Wire):
    """How the answer looks."""

    text_format: _TextFormat | None = None


class Conversation(Wire):
    """What a model reads: CountTokens counts it, Converse answers it."""

    messages: list[Message] = Field(min_length=1)
    system: list[Block] = Field(default_factory=list)
    tools: InstanceOf[Tools] | None = Field(default=None, alias="toolConfig")

    @cached_property
    def said(self) -> list[Block]:
        """System and message blocks in the order a model reads them; cachePoints among them."""
        return [*self.system, *(block for message in self.messages for block in message.content)]

    @property
    def blocks(self) -> list[Block]:
        """All blocks in the order a model reads them: tools, then what was said."""
        return [*(self.tools.blocks if self.tools else ()), *self.said]

    @cached_property
    def input_tokens(self) -> int:
        """Tokens of everything the model reads."""
        return (self.tools.tokens if self.tools else 0) + blocks_tokens(self.said)

    def digest(self, model_id: str) -> bytes:
        """What makes two prompts the same prompt: the model and everything it reads. 16 bytes."""
        turns = [(message.role, message.content) for message in self.messages]
        key = self.tools.digest if self.tools else b""
        return blake2b(orjson.dumps([model_id, self.system, turns]), digest_size=16, key=key).digest()

    def check(self) -> None:
        """Hold the rules that go beyond the shape of the body.

        Raises:
            ServiceError: ValidationException with the first rule broken.
        """
        points = sum("cachePoint" in block for block in self.tools.blocks) if self.tools else 0
        used = False
        for block in self.said:
            kind = _kind(block)
            points += kind == "cachePoint"
            used = used or kind in ("toolUse", "toolResult")
        if points > _MOST_CACHE_POINTS:
            raise _invalid(f"A request has at most {_MOST_CACHE_POINTS} cachePoints.")
        if used and self.tools is None:
            raise _invalid("toolConfig is missing: toolUse and toolResult blocks need it.")
        self._check_turns()

    def _check_turns(self) -> None:
        roles = [message.role for message in self.messages]
        if roles[0] != "user" or any(one == other for one, other in pairwise(roles)):
            raise _invalid("A conversation starts with a user message, and user and assistant take turns.")
        asked: set[str] = set()
        for message in self.messages:
            answered = {block["toolResult"]["toolUseId"] for block in message.content if "toolResult" in block}
            if answered != asked:
                raise _invalid("Each toolUse needs one toolResult of its toolUseId in the next message, and no other.")
            asked = {block["toolUse"]["toolUseId"] for block in message.content if "toolUse" in block}


class ConverseRequest(Conversation):
    """The body of Converse and ConverseStream."""

    inference_config: InferenceConfig = InferenceConfig()
    output_config: OutputConfig | None = None
    guardrail_config: GuardrailConfig | None = None

    @property
    def max_tokens(self) -> int:
        """Longest answer in tokens; a request without one reserves what a model gives at most."""
        return self.inference_config.max_tokens or _DEFAULT_MAX_TOKENS

    def answer_schema(self) -> tuple[str | None, dict[str, Any]] | None:
        """Name and JSON schema of a structured text answer, None where text may be free.

        Raises:
            ServiceError: The schema is no JSON object or uses what structured output does not take.
        """
        text_format = self.output_config.text_format if self.output_config else None
        if text_format is None:
            return None
        asked = text_format.structure.json_schema
        return asked.name, _checked_schema(asked.schema_text)


class _CountInput(Wire):
    converse: Conversation


class _CountTokens(Wire):
    input: _CountInput


def parse_converse(raw: bytes) -> ConverseRequest:
    """Parse and check a body of Converse.

    Raises:
        ServiceError: ValidationException that says which field is wrong.
    """
    request = _parse(ConverseRequest, _with_tools(_loaded(raw)))
    request.check()
    request.answer_schema()
    return request


def parse_count(raw: bytes) -> Conversation:
    """Parse and check a body of CountTokens, of its form ``converse``; the same errors as for Converse."""
    body = _loaded(raw)
    asked = body.get("input")
    if isinstance(asked, dict) and isinstance(asked.get("converse"), dict):
        asked["converse"] = _with_tools(asked["converse"])
    conversation = _parse(_CountTokens, body).input.converse
    conversation.check()
    return conversation


def _loaded(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _invalid("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise _invalid("The body is no JSON object.")
    return body


def _with_tools(body: dict[str, Any]) -> dict[str, Any]:
    """The body with its toolConfig parsed: most of a body, and the same in call after call."""
    if (config := body.get("toolConfig")) is not None:
        try:
            body["toolConfig"] = parse_tools(config)
        except ValidationError as error:
            raise _misshapen(error, "toolConfig.") from None
    return body


def _parse(shape: type[Shape], body: dict[str, Any]) -> Shape:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise _misshapen(error) from None


def _misshapen(error: ValidationError, within: str = "") -> ServiceError:
    first = error.errors(include_url=False, include_input=False)[0]
    return _invalid(f"{within}{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


@lru_cache(maxsize=_SCHEMAS_KEPT)
def _checked_schema(text: str) -> dict[str, Any]:
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _invalid("outputConfig: the schema is not JSON.") from None
    check_answer_schema(schema)
    return dict(schema)


def _kind(block: Block) -> str:
    """What a block is: its one key."""
    if len(block) != 1:
        raise _invalid(f"A block has exactly one key; this one has {sorted(block)}.")
    kind, value = next(iter(block.items()))
    if kind not in _BLOCKS:
        raise _invalid(f"A block {kind!r} is not known.")
    if kind == "text" and not (isinstance(value, str) and value.strip()):
        raise _invalid("The text of a block is blank.")
    if kind in ("toolUse", "toolResult") and not (isinstance(value, dict) and value.get("toolUseId")):
        raise _invalid(f"A {kind} block needs a toolUseId.")
    return kind


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
