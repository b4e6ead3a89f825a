"""The Bedrock Runtime operations: who may call, what a fault does to the call, and how the answer goes out."""

from __future__ import annotations

import asyncio
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from headgate_bedrock_local import eventstream
from headgate_bedrock_local.faults import HEADER, Dice, EndpointFaults, Faults, fail_at_the_front, fail_at_the_model
from headgate_bedrock_local.guardrails import applied
from headgate_bedrock_local.inference import Call, Inference
from headgate_bedrock_local.models import check_model_id, takes_forced_tool
from headgate_bedrock_local.prompt_cache import PromptCache
from headgate_bedrock_local.quotas import Quotas
from headgate_bedrock_local.requests import parse_converse, parse_count
from headgate_bedrock_local.stats import Recorder
from headgate_bedrock_local.wire import Hang, Reset, ServiceError, Whole, error_reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headgate_bedrock_local.auth import Authenticator
    from headgate_bedrock_local.backends import Backend
    from headgate_bedrock_local.stats import Stats
    from headgate_bedrock_local.wire import Caller, Incoming, Reply

    Respond = Callable[[dict[str, Any], Call], Reply]

_NOT_JSON = b"<html><body>Something between the caller and the service answers here.</body></html>"


class Endpoint:
    """One local Bedrock Runtime endpoint; all of it runs on one event loop.

    Args:
        authenticator: Checks the Authorization header.
        backend: What answers.
        faults: The knobs it starts with.
        seed: Seed of the draws that decide which calls faults hit.
        clock: Monotonic time in seconds, for quotas and the prompt cache.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        backend: Backend,
        faults: EndpointFaults,
        *,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = authenticator
        self._backend = backend
        self._quotas = Quotas(clock)
        self._cache = PromptCache(clock)
        self._recorder = Recorder()
        self._inference = Inference(backend, self._cache, self._recorder)
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

    async def converse(self, asked: Incoming, caller: Caller) -> None:
        """Converse."""
        await self._serve(asked, caller, _whole)

    async def converse_stream(self, asked: Incoming, caller: Caller) -> None:
        """ConverseStream."""
        await self._serve(asked, caller, _streamed)

    async def count_tokens(self, asked: Incoming, caller: Caller) -> None:
        """CountTokens: what Converse would count as input. Of the faults it knows those before a model is asked."""

        async def count(_: Faults) -> dict[str, Any]:
            check_model_id(asked.identifier)
            return {"inputTokens": await self._backend.input_tokens(parse_count(asked.body))}

        await self._serve_aside(asked, caller, count)

    async def apply_guardrail(self, asked: Incoming, caller: Caller) -> None:
        """ApplyGuardrail: looks for the knobs' words. Of the faults it knows those before a model is asked."""

        async def apply(faults: Faults) -> dict[str, Any]:
            return applied(asked.body, faults.guardrail_words)

        await self._serve_aside(asked, caller, apply)

    async def _serve_aside(
        self, asked: Incoming, caller: Caller, answer: Callable[[Faults], Awaitable[dict[str, Any]]]
    ) -> None:
        """Serve an operation that asks no model and is in no counter."""
        try:
            self._authenticator.check(asked)
            faults = self._faults_of(asked)
            body = blake2b(asked.body, digest_size=16).digest()
            fail_at_the_front(faults, self._dice(body))
            reply = json_reply(await answer(faults))
        except ServiceError as error:
            reply = error_reply(error)
        await reply.send(caller)

    async def _serve(self, asked: Incoming, caller: Caller, respond: Respond) -> None:
        self._recorder.called()
        try:
            try:
                reply = await self._reply(asked, respond)
            except ServiceError as error:
                self._recorder.failed(error.code)
                reply = error_reply(error)
            await reply.send(caller)
        finally:
            self._recorder.left()

    async def _reply(self, asked: Incoming, respond: Respond) -> Reply:
        started_s = time.perf_counter()
        self._authenticator.check(asked)
        call = self._parse(asked)
        faults, dice = call.faults, call.dice
        fail_at_the_front(faults, dice)
        reserved = call.request.input_tokens + call.request.max_tokens
        self._quotas.reserve(call.model_id, reserved, faults.retry_after_s)
        if (latency_s := dice.latency_s(faults)) > 0:
            await asyncio.sleep(latency_s)
        if dice.hits("reset", faults.reset_rate):
            return Reset()
        if dice.hits("hang", faults.hang_rate):
            return Hang()
        fail_at_the_model(faults, dice)
        payload = await self._inference.payload(call)
        usage = payload["usage"]
        self._quotas.give_back(call.model_id, reserved - usage["inputTokens"] - usage["outputTokens"])
        payload["metrics"] = {"latencyMs": int((time.perf_counter() - started_s) * 1_000)}
        return respond(payload, call)

    def _parse(self, asked: Incoming) -> Call:
        model_id = check_model_id(asked.identifier)
        request = parse_converse(asked.body)
        if request.tools is not None and request.tools.must_use and not takes_forced_tool(model_id):
            raise ServiceError("ValidationException", f"Model {model_id} takes no toolChoice but auto.")
        faults = self._faults_of(asked)
        prompt = request.digest(model_id)
        return Call(model_id, request, prompt, faults, self._dice(prompt))

    def _faults_of(self, asked: Incoming) -> Faults:
        header = asked.headers.get(HEADER)
        return self._faults.overridden(header) if header else self._faults

    def _dice(self, prompt: bytes) -> Dice:
        return Dice(self._seed, prompt, self._recorder.asked(prompt))


def _whole(answer: dict[str, Any], call: Call) -> Reply:
    if call.dice.hits("garble", call.faults.garble_rate):
        return Whole(_NOT_JSON)
    return json_reply(answer, cut=call.dice.hits("drop", call.faults.drop_rate))


def _streamed(answer: dict[str, Any], call: Call) -> Reply:
    faults, dice = call.faults, call.dice
    events = eventstream.frames(answer)
    if dice.hits("stream_error", faults.stream_error_rate):
        events[len(events) // 2 :] = [eventstream.exception_frame(faults.stream_error, "The stream broke off.")]
    if dice.hits("garble", faults.garble_rate):
        events[len(events) // 2] = eventstream.garbled(events[len(events) // 2])
    cut = dice.hits("drop", faults.drop_rate)
    return Whole(b"".join(events), media_type=eventstream.MEDIA_TYPE, sized=False, cut=cut)
