"""The backend ``policy``: a model's stand-in, which answers by policy, by schema or in words, and always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from headgate_bedrock_local.answers import Answer, tool_use
from headgate_bedrock_local.policies import TOOL_RESULTS, fenced_event, tool_results
from headgate_bedrock_local.schema_example import example
from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_bedrock_local.policies import Policy, Preparation
    from headgate_bedrock_local.requests import Conversation, ConverseRequest
    from headgate_bedrock_local.tool_config import Tools, ToolSpec


class PolicyBackend:
    """Answers requests, the same request always in the same way.

    Args:
        policies: Policies by the name of the tool, or of the structured answer, that they answer for.
        preparations: What to call before that, by the same name.
    """

    def __init__(self, policies: Mapping[str, Policy], preparations: Mapping[str, Preparation]) -> None:
        self._policies = policies
        self._preparations = preparations

    async def input_tokens(self, conversation: Conversation) -> int:
        """Tokens of everything the model reads, by its characters."""
        return conversation.input_tokens

    async def answer(self, request: ConverseRequest, prompt: bytes) -> Answer:
        """Answer with a tool use, a structured text or a text, whichever the request asks for.

        Raises:
            ServiceError: The policy for it failed.
        """
        if request.tools is not None and (tool := self._tool(request, request.tools)) is not None:
            event = fenced_event(request) if tool.name in self._policies or tool.name in self._preparations else None
            if event is not None and (calls := self._prepared(tool.name, event, request, request.tools)):
                return Answer(
                    [tool_use(prompt, *call, number) for number, call in enumerate(calls)], "tool_use", "policy"
                )
            payload, source = self._payload(tool.name, tool.input_schema.json_schema, event, request)
            return Answer([tool_use(prompt, tool.name, payload)], "tool_use", source)
        if (structured := request.answer_schema()) is not None:
            name = structured[0] or ""
            event = fenced_event(request) if name in self._policies else None
            payload, source = self._payload(name, structured[1], event, request)
            return Answer([{"text": orjson.dumps(payload).decode()}], "end_turn", source)
        text = f"Local answer {prompt.hex()[:8]} to a prompt of {request.input_tokens} tokens."
        return Answer([{"text": text}], "end_turn", "text")

    def _tool(self, request: ConverseRequest, tools: Tools) -> ToolSpec | None:
        if tools.forced is not None:
            return tools.specs[tools.forced]
        known = next((spec for name, spec in tools.specs.items() if name in self._policies), None)
        if known is None and not tools.must_use and any("toolResult" in each for each in request.messages[-1].content):
            return None
        return known or next(iter(tools.specs.values()))

    def _prepared(
        self, name: str, event: Mapping[str, Any], request: ConverseRequest, tools: Tools
    ) -> list[tuple[str, dict[str, Any]]]:
        """Calls of other tools of the request that come first: where the tool is not forced, each once."""
        prepare = self._preparations.get(name)
        if prepare is None or tools.forced is not None:
            return []
        results = tool_results(request, but=name)
        wanted = _run(name, lambda: dict(prepare(event, results)))
        return [
            (other, dict(arguments))
            for other, arguments in wanted.items()
            if other in tools.specs and other not in results and other != name
        ]

    def _payload(
        self, name: str, schema: dict[str, Any], event: Mapping[str, Any] | None, request: ConverseRequest
    ) -> tuple[Any, str]:
        policy = self._policies.get(name)
        if policy is None or event is None:
            return example(schema), "schema"
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
