"""One call at the model: guardrail, backend, what spoils the answer, guardrail again, and what all of it is billed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_bedrock_local.answers import limited
from headgate_bedrock_local.guardrails import BLOCKED, Blocked, answered_texts, blocked_words, guarded_texts
from headgate_bedrock_local.prompt_cache import CacheUse
from headgate_bedrock_local.spoilers import spoilt

if TYPE_CHECKING:
    from headgate_bedrock_local.answers import Answer
    from headgate_bedrock_local.backends import Backend
    from headgate_bedrock_local.faults import Dice, Faults
    from headgate_bedrock_local.prompt_cache import PromptCache
    from headgate_bedrock_local.requests import ConverseRequest
    from headgate_bedrock_local.stats import Recorder

_UNUSED = {
    "inputTokens": 0,
    "outputTokens": 0,
    "totalTokens": 0,
    "cacheReadInputTokens": 0,
    "cacheWriteInputTokens": 0,
}
_INTERVENED = "guardrail_intervened"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let in.

    Attributes:
        model_id: Model asked.
        request: What it is asked.
        prompt: Digest of both.
        faults: Knobs of this call.
        dice: Draws of this call.
    """

    model_id: str
    request: ConverseRequest
    prompt: bytes
    faults: Faults
    dice: Dice


class Inference:
    """Asks the backend and makes a Converse answer, all but its metrics, of what it says."""

    def __init__(self, backend: Backend, cache: PromptCache, recorder: Recorder) -> None:
        self._backend = backend
        self._cache = cache
        self._recorder = recorder

    async def payload(self, call: Call) -> dict[str, Any]:
        """Answer a call; it is paid for unless a guardrail blocks its input.

        Raises:
            ServiceError: The backend has no answer.
        """
        if blocked := self._blocked(call, None):
            self._recorder.blocked()
            return _intervened(call, blocked, dict(_UNUSED))
        right = await self._backend.answer(call.request, call.prompt)
        answer = limited(spoilt(right, call.faults, call.dice), call.request)
        usage = self._usage(call, answer)
        blocked = self._blocked(call, answer)
        stop_reason = _INTERVENED if blocked else answer.stop_reason
        self._recorder.answered(call.model_id, call.prompt, usage, stop_reason, answer.source)
        return _intervened(call, blocked, usage) if blocked else _payload(answer.content, stop_reason, usage)

    def _blocked(self, call: Call, answer: Answer | None) -> Blocked | None:
        words = call.faults.guardrail_words
        if not words or call.request.guardrail_config is None:
            return None
        texts = guarded_texts(call.request) if answer is None else answered_texts(answer.content)
        found = blocked_words(words, texts)
        return Blocked("input" if answer is None else "output", found) if found else None

    def _usage(self, call: Call, answer: Answer) -> dict[str, Any]:
        read, use = call.request.input_tokens, CacheUse()
        if answer.counted is not None:
            read = answer.counted.read
        else:
            use = self._cache.use(call.model_id, call.request.blocks)
        usage: dict[str, Any] = {
            "inputTokens": read - use.read - use.written,
            "outputTokens": answer.tokens,
            "totalTokens": read + answer.tokens,
            "cacheReadInputTokens": use.read,
            "cacheWriteInputTokens": use.written,
        }
        if use.written:
            usage["cacheDetails"] = [{"ttl": use.ttl, "inputTokens": use.written}]
        return usage


def _intervened(call: Call, blocked: Blocked, usage: dict[str, Any]) -> dict[str, Any]:
    payload = _payload([{"text": BLOCKED}], _INTERVENED, usage)
    config = call.request.guardrail_config
    if config is not None and config.trace != "disabled":
        payload["trace"] = blocked.trace(config)
    return payload


def _payload(content: list[dict[str, Any]], stop_reason: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop_reason, "usage": usage}
