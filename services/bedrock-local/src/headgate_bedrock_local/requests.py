"""The body of Converse, ConverseStream and CountTokens, parsed and checked as the service checks it."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from headgate_bedrock_local.schema_rules import check_answer_schema
from headgate_bedrock_local.tokens import blocks_tokens
from headgate_bedrock_local.wire import ServiceError

Block = dict[str, Any]
Shape = TypeVar("Shape", bound=BaseModel)

_MOST_CACHE_POINTS = 4
_DEFAULT_MAX_TOKENS = 4_096


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Message(_Wire):
    """One turn; every block of its content has exactly one key."""

    role: Literal["user", "assistant"]
    content: list[Block] = Field(min_length=1)


class InferenceConfig(_Wire):
    """Limits of the answer; sampling is checked and has no effect on a deterministic one."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, max_length=4)


class InputSchema(_Wire):
    """The JSON schema of a tool's input."""

    json_schema: dict[str, Any] = Field(alias="json")


class ToolSpec(_Wire):
    """A tool the model may use."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = Field(default=None, min_length=1)
    input_schema: InputSchema
    strict: bool = False


class Tool(_Wire):
    """A tool, or a cachePoint after the tools before it."""

    tool_spec: ToolSpec | None = None
    cache_point: Block | None = None


class NamedTool(_Wire):
    """The tool that is forced."""

    name: str


class ToolChoice(_Wire):
    """One of auto, any and tool."""

    auto: Block | None = None
    any: Block | None = None
    tool: NamedTool | None = None


class ToolConfig(_Wire):
    """Tools and which of them has to be used."""

    tools: list[Tool] = Field(min_length=1)
    tool_choice: ToolChoice | None = None


class JsonSchemaText(_Wire):
    """A JSON schema as text; a real endpoint compiles it, so it takes a part of the language only."""

    schema_text: str = Field(alias="schema")
    name: str | None = None


class Structure(_Wire):
    """The structure of a text answer."""

    json_schema: JsonSchemaText


class TextFormat(_Wire):
    """How a text answer is structured."""

    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(_Wire):
    """How the answer looks."""

    text_format: TextFormat | None = None


class Conversation(_Wire):
    """What a model reads: CountTokens counts it, Converse answers it."""

    messages: list[Message] = Field(min_length=1)
    system: list[Block] = Field(default_factory=list)
    tool_config: ToolConfig | None = None

    def tool_specs(self) -> list[ToolSpec]:
        """The tools, in the order given."""
        tools = self.tool_config.tools if self.tool_config else []
        return [tool.tool_spec for tool in tools if tool.tool_spec]

    @cached_property
    def blocks(self) -> list[Block]:
        """All blocks in the order a model reads them: tools, system, messages; cachePoints among them."""
        tools = self.tool_config.tools if self.tool_config else []
        tool_blocks = [tool.model_dump(by_alias=True, exclude_none=True) for tool in tools]
        return [*tool_blocks, *self.system, *(block for message in self.messages for block in message.content)]

    @cached_property
    def input_tokens(self) -> int:
        """Tokens of everything the model reads."""
        return blocks_tokens(self.blocks)

    def digest(self, model_id: str) -> bytes:
        """What makes two prompts the same prompt: the model and everything it reads."""
        turns = [(message.role, len(message.content)) for message in self.messages]
        return blake2b(orjson.dumps([model_id, len(self.system), turns, self.blocks]), digest_size=16).digest()

    def check(self) -> None:
        """Hold the rules that go beyond the shape of the body.

        Raises:
            ServiceError: ValidationException with the first rule broken.
        """
        for block in self.blocks:
            _check_block(block)
        self._check_turns()
        if sum("cachePoint" in block for block in self.blocks) > _MOST_CACHE_POINTS:
            raise _invalid(f"A request has at most {_MOST_CACHE_POINTS} cachePoints.")
        self._check_tools()

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

    def _check_tools(self) -> None:
        if self.tool_config is None:
            if any("toolUse" in block or "toolResult" in block for turn in self.messages for block in turn.content):
                raise _invalid("toolConfig is missing: toolUse and toolResult blocks need it.")
            return
        specs = self.tool_specs()
        names = [spec.name for spec in specs]
        if not names or len(set(names)) != len(names):
            raise _invalid("toolConfig needs at least one tool, and no name twice.")
        choice = self.tool_config.tool_choice
        if choice and len(choice.model_dump(exclude_none=True)) != 1:
            raise _invalid("toolChoice is exactly one of auto, any and tool.")
        if choice and choice.tool and choice.tool.name not in names:
            raise _invalid(f"toolChoice names {choice.tool.name!r}, which is no tool of this request.")
        for spec in specs:
            if spec.input_schema.json_schema.get("type") != "object":
                raise _invalid(f"The input schema of tool {spec.name!r} must have the type object.")
            if spec.strict:
                check_answer_schema(spec.input_schema.json_schema)


class ConverseRequest(Conversation):
    """The body of Converse and ConverseStream."""

    inference_config: InferenceConfig = InferenceConfig()
    output_config: OutputConfig | None = None

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
        try:
            schema = orjson.loads(asked.schema_text)
        except orjson.JSONDecodeError:
            raise _invalid("outputConfig: the schema is not JSON.") from None
        check_answer_schema(schema)
        return asked.name, schema


class _CountInput(_Wire):
    converse: Conversation


class CountTokensRequest(_Wire):
    """The body of CountTokens; the converse form only."""

    input: _CountInput


def parse_converse(raw: bytes) -> ConverseRequest:
    """Parse and check a body of Converse.

    Raises:
        ServiceError: ValidationException that says which field is wrong.
    """
    request = _parse(ConverseRequest, raw)
    request.check()
    return request


def parse_count(raw: bytes) -> Conversation:
    """Parse and check a body of CountTokens; the same errors as for Converse."""
    conversation = _parse(CountTokensRequest, raw).input.converse
    conversation.check()
    return conversation


def _parse(shape: type[Shape], raw: bytes) -> Shape:
    try:
        return shape.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise _invalid("The body is not JSON.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _invalid(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _check_block(block: Block) -> None:
    if len(block) != 1:
        raise _invalid(f"A block has exactly one key; this one has {sorted(block)}.")
    kind, value = next(iter(block.items()))
    if kind == "text" and not (isinstance(value, str) and value.strip()):
        raise _invalid("The text of a block is blank.")
    if kind in ("toolUse", "toolResult") and not (isinstance(value, dict) and value.get("toolUseId")):
        raise _invalid(f"A {kind} block needs a toolUseId.")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
