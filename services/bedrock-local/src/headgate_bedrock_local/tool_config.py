"""The tools of a request, parsed and checked once for all requests that bring the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headgate_bedrock_local.schema_rules import check_answer_schema
from headgate_bedrock_local.tokens import blocks_tokens
from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

Block = dict[str, Any]

_KEPT = 1_024


class Wire(BaseModel):
    """A shape of the wire: names in camel case, what it does not name is left aside."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class InputSchema(Wire):
    """The JSON schema of a tool's input."""

    json_schema: dict[str, Any] = Field(alias="json")


class ToolSpec(Wire):
    """A tool the model may use."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = Field(default=None, min_length=1)
    input_schema: InputSchema
    strict: bool = False


class _Tool(Wire):
    tool_spec: ToolSpec | None = None


class _NamedTool(Wire):
    name: str


class ToolChoice(Wire):
    """One of auto, any and tool."""

    auto: Block | None = None
    any: Block | None = None
    tool: _NamedTool | None = None


class _ToolConfig(Wire):
    tools: list[_Tool] = Field(min_length=1)
    tool_choice: ToolChoice | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools and which of them has to be used.

    Attributes:
        specs: The tools by name, in the order given.
        blocks: The blocks as they came, cachePoints among them.
        tokens: Tokens of the blocks.
        digest: Digest of the blocks, 16 bytes.
        must_use: Whether words will not do: toolChoice is any or tool.
        forced: Name of the one tool that must be used.
    """

    specs: Mapping[str, ToolSpec]
    blocks: tuple[Block, ...]
    tokens: int
    digest: bytes
    must_use: bool
    forced: str | None


def parse_tools(config: object) -> Tools:
    """Parse and check a toolConfig.

    Raises:
        ServiceError: ValidationException with the first rule broken.
        ValidationError: It has not the shape of a toolConfig.
    """
    return _parsed(orjson.dumps(config))


@lru_cache(maxsize=_KEPT)
def _parsed(raw: bytes) -> Tools:
    body = orjson.loads(raw)
    config = _ToolConfig.model_validate(body)
    specs = [tool.tool_spec for tool in config.tools if tool.tool_spec]
    by_name = {spec.name: spec for spec in specs}
    if not specs or len(by_name) != len(specs):
        raise _invalid("toolConfig needs at least one tool, and no name twice.")
    choice = config.tool_choice
    if choice and len(choice.model_dump(exclude_none=True)) != 1:
        raise _invalid("toolChoice is exactly one of auto, any and tool.")
    forced = choice.tool.name if choice and choice.tool else None
    if forced is not None and forced not in by_name:
        raise _invalid(f"toolChoice names {forced!r}, which is no tool of this request.")
    for spec in specs:
        _check_schema(spec)
    blocks = tuple(body["tools"])
    digest = blake2b(orjson.dumps(blocks), digest_size=16).digest()
    must_use = choice is not None and choice.auto is None
    return Tools(by_name, blocks, blocks_tokens(blocks), digest, must_use=must_use, forced=forced)


def _check_schema(spec: ToolSpec) -> None:
    if spec.input_schema.json_schema.get("type") != "object":
        raise _invalid(f"The input schema of tool {spec.name!r} must have the type object.")
    if spec.strict:
        check_answer_schema(spec.input_schema.json_schema)


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
