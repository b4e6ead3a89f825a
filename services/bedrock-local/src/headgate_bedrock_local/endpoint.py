"""The Bedrock Runtime operations: who may call, what a fault does to the call, what the model answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from headgate_bedrock_local import eventstream
from headgate_bedrock_local.answers import Answerer, limited, spoilt
from headgate_bedrock_local.faults import HEADER, Dice, EndpointFaults, Faults
from headgate_bedrock_local.models import check_model_id
from headgate_bedrock_local.prompt_cache import PromptCache
from headgate_bedrock_local.quotas import Quotas
from headgate_bedrock_local.requests import parse_converse, parse_count
from headgate_bedrock_local.stats import Recorder
from headgate_bedrock_local.wire import BrokenResponse, ServiceError, error_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from headgate_bedrock_local.auth import Authenticator
    from headgate_bedrock_local.policies import Policy, Preparation
    from headgate_bedrock_local.requests import ConverseRequest
    from headgate_bedrock_local.stats import Stats


@dataclass(frozen=True, slots=True)
class _Call:
    model_id: str
    request: ConverseRequest
    prompt: bytes
    faults: Faults
    dice: Dice


class Endpoint:
    """One local Bedrock Runtime endpoint; all of it runs on one event loop.

    Args:
        authenticator: Checks the Authorization header.
        policies: Local policies by tool name.
        preparations: Local preparations by tool name.
        faults: The knobs it starts with.
        seed: Seed of the draws that decide which calls faults hit.
        clock: Monotonic time in seconds, for quotas and the prompt cache.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        policies: Mapping[str, Policy],
        preparations: Mapping[str, Preparation],
        faults: EndpointFaults,
        *,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = authenticator
        self._answerer = Answerer(policies, preparations)
        self._quotas = Quotas(clock)
        self._cache = PromptCache(clock)
        self._recorder = Recorder()
        self._seed = seed
        self._first_faults = faults
        self._faults = faults
        self.set_faults(faults)

    @property
    def faults(self) -> EndpointFaults:
        """The knobs as they are."""
        return self._faults

    def set_faults(self, faults: EndpointFaults) -> None:
        """Replace all knobs; quotas start full when they change."""
        self._faults = faults
        self._quotas.limit(faults.requests_per_minute, faults.tokens_per_minute)

    def stats(self) -> Stats:
        """The counters as they are."""
        return self._recorder.snapshot()

    def reset(self) -> None:
        """Back to the knobs of the start, with no counters and an empty prompt cache."""
        self.set_faults(self._first_faults)
        self._recorder.reset()
        self._cache.clear()

    async def converse(self, request: Request) -> Response:
        """Converse."""
        return await self._serve(request, _whole)

    async def converse_stream(self, request: Request) -> Response:
        """ConverseStream."""
        return await self._serve(request, _streamed)

    async def count_tokens(self, request: Request) -> Response:
        """CountTokens: what Converse would count as input; takes no part in faults but ``denied``."""
        try:
            body = await self._admit(request)
            return json_response({"inputTokens": parse_count(body).input_tokens})
        except ServiceError as error:
            return error_response(error)

    async def _serve(self, request: Request, respond: Callable[[dict[str, Any], bool], Response]) -> Response:
        self._recorder.called()
        try:
            body = await self._admit(request)
            answer, dropped = await self._answer(self._parse(request, body))
            return respond(answer, dropped)
        except ServiceError as error:
            self._recorder.failed(error.code)
            return error_response(error)
        finally:
            self._recorder.left()

    async def _admit(self, request: Request) -> bytes:
        body = await request.body()
        self._authenticator.check(request, body)
        check_model_id(request.path_params["model_id"])
        if self._faults.denied:
            raise ServiceError("AccessDeniedException", "You don't have access to the model with this identifier.")
        return body

    def _parse(self, request: Request, body: bytes) -> _Call:
        model_id = request.path_params["model_id"]
        converse = parse_converse(body)
        header = request.headers.get(HEADER)
        faults = self._faults.overridden(header) if header else self._faults
        if faults.denied:
            raise ServiceError("AccessDeniedException", "You don't have access to the model with this identifier.")
        prompt = converse.digest(model_id)
        return _Call(model_id, converse, prompt, faults, Dice(self._seed, prompt, self._recorder.asked(prompt)))

    async def _answer(self, call: _Call) -> tuple[dict[str, Any], bool]:
        started = time.perf_counter()
        faults, dice = call.faults, call.dice
        if dice.hits("throttle", faults.throttle_rate):
            raise ServiceError("ThrottlingException", "Too many requests; wait.", faults.retry_after_s)
        reserved = call.request.input_tokens + call.request.max_tokens
        self._quotas.reserve(call.model_id, reserved, faults.retry_after_s)
        if dice.hits("error", faults.error_rate):
            raise ServiceError("ServiceUnavailableException", "The service is unavailable.", faults.retry_after_s)
        await asyncio.sleep(dice.latency_s(faults))
        if dice.hits("timeout", faults.timeout_rate):
            raise ServiceError("ModelTimeoutException", "The model took too long to answer.")
        if dice.hits("model_error", faults.model_error_rate):
            raise ServiceError("ModelErrorException", "The model failed while it answered.")
        right = self._answerer.answer(call.model_id, call.request, call.prompt)
        answer = limited(spoilt(right, faults, dice), call.request)
        usage = self._usage(call, answer.tokens)
        self._quotas.give_back(call.model_id, reserved - usage["inputTokens"] - usage["outputTokens"])
        self._recorder.answered(call.model_id, call.prompt, usage, answer.stop_reason, answer.source)
        payload = {
            "output": {"message": {"role": "assistant", "content": answer.content}},
            "stopReason": answer.stop_reason,
            "usage": usage,
            "metrics": {"latencyMs": int((time.perf_counter() - started) * 1_000)},
        }
        return payload, dice.hits("drop", faults.drop_rate)

    def _usage(self, call: _Call, output_tokens: int) -> dict[str, int]:
        use = self._cache.use(call.model_id, call.request.blocks)
        read = call.request.input_tokens
        return {
            "inputTokens": read - use.read - use.written,
            "outputTokens": output_tokens,
            "totalTokens": read + output_tokens,
            "cacheReadInputTokens": use.read,
            "cacheWriteInputTokens": use.written,
        }


def _whole(answer: dict[str, Any], dropped: bool) -> Response:  # noqa: FBT001 (one signature with _streamed)
    response = json_response(answer)
    return BrokenResponse(response.body, 200, dict(response.headers)) if dropped else response


def _streamed(answer: dict[str, Any], dropped: bool) -> Response:  # noqa: FBT001 (one signature with _whole)
    events = list(eventstream.frames(answer))
    if dropped:
        broken = BrokenResponse(b"".join(events), media_type=eventstream.MEDIA_TYPE)
        del broken.headers["content-length"]  # a stream goes out in chunks, of which the last never comes
        return broken
    return StreamingResponse(iter(events), media_type=eventstream.MEDIA_TYPE)
