"""What the local model answers: by policy, by schema or in words; spoilt by a fault; cut at maxTokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from headgate_bedrock_local.models import takes_forced_tool
from headgate_bedrock_local.policies import TOOL_RESULTS, fenced_event, tool_results
from headgate_bedrock_local.schema_example import example
from headgate_bedrock_local.tokens import CHARACTERS_A_TOKEN, block_tokens, blocks_tokens, text_tokens
from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_bedrock_local.faults import Dice, Faults
    from headgate_bedrock_local.policies import Policy, Preparation
    from headgate_bedrock_local.requests import ConverseRequest, ToolSpec

_REFUSAL = "I am sorry, but I cannot help with this request."
_BLOCKED = "This content is blocked by the guardrail."

# One of them at most spoils an answer; the first in this order that hits does.
SPOILERS = ("guardrail", "refusal", "empty", "truncate", "malformed", "multi_block")


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer.

    Attributes:
        content: Content blocks, each ``text`` or ``toolUse``.
        stop_reason: As in the service model.
        source: ``policy``, ``schema`` or ``text``: what the content was made from.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    source: str

    @property
    def tokens(self) -> int:
        """Output tokens."""
        return sum(block_tokens(block.get("toolUse", {}).get("input", block)) for block in self.content)


class Answerer:
    """Answers requests, the same request always in the same way.

    Args:
        policies: Policies by the name of the tool, or of the structured answer, that they answer for.
        preparations: What to call before that, by the same name.
    """

    def __init__(self, policies: Mapping[str, Policy], preparations: Mapping[str, Preparation]) -> None:
        self._policies = policies
        self._preparations = preparations

    def answer(self, model_id: str, request: ConverseRequest, prompt: bytes) -> Answer:
        """Answer with a tool use, a structured text or a text, whichever the request asks for.

        Raises:
            ServiceError: The model does not take what is asked, or the policy for it failed.
        """
        if (tool := self._tool(model_id, request)) is not None:
            if calls := self._prepared(tool, request):
                return Answer([_use(prompt, *call, number) for number, call in enumerate(calls)], "tool_use", "policy")
            payload, source = self._payload(tool.name, tool.input_schema.json_schema, request)
            return Answer([_use(prompt, tool.name, payload)], "tool_use", source)
        if (structured := request.answer_schema()) is not None:
            payload, source = self._payload(structured[0] or "", structured[1], request)
            return Answer([{"text": orjson.dumps(payload).decode()}], "end_turn", source)
        text = f"Local answer {prompt.hex()[:8]} to a prompt of {request.input_tokens} tokens."
        return Answer([{"text": text}], "end_turn", "text")

    def _tool(self, model_id: str, request: ConverseRequest) -> ToolSpec | None:
        specs = request.tool_specs()
        choice = request.tool_config.tool_choice if request.tool_config else None
        forced = choice is not None and choice.auto is None
        if forced and not takes_forced_tool(model_id):
            raise ServiceError("ValidationException", f"Model {model_id} takes no toolChoice but auto.")
        if choice is not None and choice.tool is not None:
            return next(spec for spec in specs if spec.name == choice.tool.name)
        known = next((spec for spec in specs if spec.name in self._policies), None)
        answered = any("toolResult" in block for block in request.messages[-1].content)
        if known is None and answered and not forced:
            return None
        return known or next(iter(specs), None)

    def _prepared(self, tool: ToolSpec, request: ConverseRequest) -> list[tuple[str, dict[str, Any]]]:
        """Calls of other tools of the request that come first: where the tool is not forced, each once."""
        choice = request.tool_config.tool_choice if request.tool_config else None
        prepare = self._preparations.get(tool.name)
        event = fenced_event(request) if prepare else None
        if prepare is None or event is None or (choice is not None and choice.tool is not None):
            return []
        results = tool_results(request, but=tool.name)
        wanted = _run(tool.name, lambda: dict(prepare(event, results)))
        offered = {spec.name for spec in request.tool_specs()} - results.keys() - {tool.name}
        return [(name, dict(arguments)) for name, arguments in wanted.items() if name in offered]

    def _payload(self, name: str, schema: Mapping[str, Any], request: ConverseRequest) -> tuple[Any, str]:
        policy = self._policies.get(name)
        event = fenced_event(request) if policy else None
        if policy is None or event is None:
            return example(dict(schema)), "schema"
        results = tool_results(request, but=name)
        known = {**event, TOOL_RESULTS: results} if results else event
        return _run(name, lambda: dict(policy(known, schema))), "policy"


def _run(name: str, policy: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return policy()
    except Exception as error:
        # The model's stand-in is somebody else's code: what it raises is this model's error, told to the caller.
        message = f"The policy for {name!r} failed: {type(error).__name__}: {error}"
        raise ServiceError("InternalServerException", message) from error


def _use(prompt: bytes, name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    """A tool use; the first of an answer has the prompt's digest as its id, later ones their number besides."""
    suffix = f"_{number}" if number else ""
    return {"toolUse": {"toolUseId": f"tooluse_{prompt.hex()[:22]}{suffix}", "name": name, "input": arguments}}


def spoilt(answer: Answer, faults: Faults, dice: Dice) -> Answer:
    """The answer after at most one fault of :data:`SPOILERS`."""
    for name in SPOILERS:
        if dice.hits(name, getattr(faults, f"{name}_rate")):
            return _spoil(answer, name)
    return answer


def limited(answer: Answer, request: ConverseRequest) -> Answer:
    """The answer as the request's stop sequences and maxTokens leave it."""
    for stop in request.inference_config.stop_sequences:
        for index, block in enumerate(answer.content):
            if stop in block.get("text", ""):
                kept = [*answer.content[:index], {"text": block["text"].split(stop, 1)[0]}]
                answer = replace(answer, content=kept, stop_reason="stop_sequence")
                break
    return cut(answer, request.max_tokens) if answer.tokens > request.max_tokens else answer


def cut(answer: Answer, most_tokens: int) -> Answer:
    """The beginning of an answer: whole blocks, then the last one up to the limit; a tool's input loses properties."""
    content: list[dict[str, Any]] = []
    left = most_tokens
    for block in answer.content:
        tool_use = block.get("toolUse")
        shorter = {"text": block["text"][: left * CHARACTERS_A_TOKEN]} if tool_use is None else _cut_input(block, left)
        content.append(shorter)
        left -= blocks_tokens([shorter.get("toolUse", {}).get("input", shorter)])
        if left <= 0 or shorter != block:
            break
    return replace(answer, content=content, stop_reason="max_tokens")


def _cut_input(block: dict[str, Any], most_tokens: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in block["toolUse"]["input"].items():
        if block_tokens({**kept, name: value}) > most_tokens:
            break
        kept[name] = value
    return {"toolUse": {**block["toolUse"], "input": kept}}


def _spoil(answer: Answer, name: str) -> Answer:
    if name == "guardrail":
        return replace(answer, content=[{"text": _BLOCKED}], stop_reason="guardrail_intervened")
    if name == "refusal":
        return replace(answer, content=[{"text": _REFUSAL}], stop_reason="end_turn")
    if name == "empty":
        return replace(answer, content=[], stop_reason="end_turn")
    if name == "truncate":
        return cut(answer, max(1, answer.tokens // 2))
    if name == "malformed":
        return replace(answer, content=[_malformed(block) for block in answer.content])
    around = [{"text": "Let me look at this."}, *answer.content, {"text": "That is my answer."}]
    return replace(answer, content=around)


def _malformed(block: dict[str, Any]) -> dict[str, Any]:
    """The first property gone, every other of a wrong type; a text is cut in the middle."""
    tool_use = block.get("toolUse")
    if tool_use is None:
        return {"text": block["text"][: max(1, len(block["text"]) // 2)]}
    names = list(tool_use["input"])[1:]
    return {"toolUse": {**tool_use, "input": {name: {"malformed": text_tokens(name)} for name in names}}}
