"""ChatBedrockConverse with a native ``ainvoke``: langchain-aws converts and parses, this sends."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from langchain_aws import ChatBedrockConverse
from langchain_aws.chat_models.bedrock_converse import (
    _apply_response_format,
    _handle_bedrock_error,
    _messages_to_bedrock,
    _parse_response,
    _snake_to_camel_keys,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr

from headgate_enricher.bedrock.conversation import plain_turns
from headgate_enricher.bedrock.request import ConverseRequest, Frame, RequestWriter
from headgate_enricher.bedrock.retries import RetryPolicy
from headgate_enricher.bedrock.signing import create_signer
from headgate_enricher.bedrock.transport import ConverseTransport, TransportLimits, unreadable

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.messages import AIMessage, BaseMessage

    from headgate_enricher.bedrock.settings import BedrockSettings, ModelSettings

# Settings of a call that are langchain's own and no parameters of Converse.
_NOT_FOR_CONVERSE = frozenset({"disable_streaming", "stream", "cache_control", "ls_structured_output_format"})
_MOST_FRAMES = 64
_KEEP_AS_WRITTEN = {"inputSchema", "properties", "thinking"}


class AsyncBedrockConverse(ChatBedrockConverse):
    """A Bedrock chat model whose calls wait on the event loop, not in threads.

    ``bind_tools``, ``ainvoke``, ``usage_metadata``, ``tool_calls`` and ``response_metadata`` (``stopReason``,
    ``ResponseMetadata`` with ``RetryAttempts``) are as in ChatBedrockConverse. Only the async calls exist, and they do
    not stream. Made by :class:`ModelFactory`.

    Attributes:
        transport: Sends one attempt.
        writer: Writes requests.
        retries: Repeats attempts; nothing else does.
        max_tokens: Longest answer in tokens; every call has one.
        cache_from_tokens: Shortest static part of a prompt, tools and system text, that is closed with a cachePoint.
    """

    transport: ConverseTransport = Field(exclude=True)
    writer: RequestWriter = Field(exclude=True)
    retries: RetryPolicy = Field(exclude=True)
    max_tokens: int
    cache_from_tokens: int | None = None
    _frames: dict[tuple[Any, ...], _BoundFrame] = PrivateAttr(default_factory=dict)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()

    def prepare(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> ConverseRequest:
        """The request for messages and what ``bind_tools`` bound.

        Raises:
            ParamValidationError: It would not be what Converse takes.
        """
        bound = self._bound(stop, kwargs)
        turns, system = (None if self.system else plain_turns(messages)) or _messages_to_bedrock(
            messages, self.system, model_id=self._get_base_model(), provider=self.provider
        )
        if self.guard_last_turn_only:
            self._apply_guard_last_turn_only(turns)
        if (control := kwargs.get("cache_control")) is not None:
            return self._with_cache_points(control, bound, turns, system)
        if self.cache_from_tokens is not None and bound.frame.static_tokens(system) >= self.cache_from_tokens:
            system.append({"cachePoint": {"type": "default"}})
        return self.writer.request(bound.frame, turns, system)

    async def attempt(self, request: ConverseRequest, left_s: float) -> dict[str, Any]:
        """Send a prepared request once; the answer is Converse's own.

        Raises:
            Exception: What ``ConverseTransport.converse`` raises.
        """
        return await self.transport.converse(request, dict(self.default_headers or {}), left_s)

    def parse(self, answer: dict[str, Any], failed: int = 0) -> AIMessage:
        """Make a message of an answer that came after so many failed attempts.

        Raises:
            aiohttp.ClientPayloadError: It cannot be read; it is paid for all the same.
        """
        answer["ResponseMetadata"]["RetryAttempts"] = failed
        try:
            message: AIMessage = _parse_response(answer, inline_reasoning_tags=self._inline_reasoning_tags_for_model())
        except Exception as error:  # langchain-aws takes an answer to be as documented
            raise unreadable() from error
        name = self.base_model_id or self.model_id
        message.response_metadata |= {"model_provider": "bedrock_converse", "model_name": name}
        return message

    def _bound(self, stop: list[str] | None, kwargs: dict[str, Any]) -> _BoundFrame:
        """The frame for what was bound: made once, as long as the very same objects are bound."""
        made_of = (*stop, *kwargs.values()) if stop else tuple(kwargs.values())
        key = (*kwargs, *map(id, made_of))
        bound = self._frames.get(key)
        if bound is None:
            if len(self._frames) >= _MOST_FRAMES:
                self._frames.clear()  # bound anew for each call: nothing to keep
            bound = self._frames[key] = _BoundFrame(self.writer.frame(self._parameters(stop, kwargs)), made_of)
        return bound

    def _parameters(self, stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        options = {name: value for name, value in kwargs.items() if name not in _NOT_FOR_CONVERSE}
        _apply_response_format(options)
        params = self._converse_params(stop=stop, **_snake_to_camel_keys(options, excluded_keys=_KEEP_AS_WRITTEN))
        params.setdefault("inferenceConfig", {}).setdefault("maxTokens", self.max_tokens)
        return params

    def _with_cache_points(
        self, control: dict[str, Any], bound: _BoundFrame, turns: list[dict[str, Any]], system: list[dict[str, Any]]
    ) -> ConverseRequest:
        """The request of an agent that sets its own cachePoints, which may stand among the tools too."""
        params = copy.deepcopy(dict(bound.frame.parameters))
        self._apply_cache_points(control, system, turns, params)
        return self.writer.request(self.writer.frame(params), turns, system)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 (langchain's signature)
        **kwargs: Any,
    ) -> ChatResult:
        request = self.prepare(messages, stop, kwargs)
        try:
            answer, failed = await self.retries.run(lambda left_s: self.attempt(request, left_s))
        except ClientError as error:
            _handle_bedrock_error(error)
            raise
        return ChatResult(generations=[ChatGeneration(message=self.parse(answer, failed))])

    def _generate(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotImplementedError("This model is called with ainvoke: a blocking call has no pool, retry or deadline.")


@dataclass(frozen=True, slots=True)
class _BoundFrame:
    """A frame, with what it was made of: as long as that lives, nothing else has its identity."""

    frame: Frame
    made_of: tuple[object, ...]


class ModelFactory:
    """Makes models that share credentials and one pool of connections.

    Args:
        settings: Where to call, as whom, and within which limits.

    Raises:
        ConfigurationError: There are no credentials.
    """

    def __init__(self, settings: BedrockSettings) -> None:
        self._settings = settings
        session = botocore.session.get_session()
        signer = create_signer(settings, session)
        self._client = session.create_client(
            "bedrock-runtime",
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            config=Config(retries={"total_max_attempts": 1}),
        )
        limits = TransportLimits(settings.timeout_s, settings.connect_timeout_s, settings.max_connections)
        meta = self._client.meta
        self._writer = RequestWriter(meta.service_model)
        self._transport = ConverseTransport(meta.endpoint_url, meta.service_model, signer, limits)

    @property
    def retries(self) -> RetryPolicy:
        """When attempts are repeated."""
        settings = self._settings
        return RetryPolicy(settings.max_attempts, settings.backoff_base_s, settings.backoff_cap_s)

    def create(self, model: ModelSettings, *, cache_from_tokens: int | None = None) -> AsyncBedrockConverse:
        """Make a model; asks Bedrock for the model behind an application inference profile.

        Args:
            model: The model.
            cache_from_tokens: Shortest static prefix that gets a cachePoint; None sets none.

        Raises:
            ValueError: The id is no model's, or an ARN came without its provider.
        """
        settings = self._settings
        guardrail = settings.guardrail
        chosen = {
            "provider": model.provider,
            "base_model_id": model.base_model_id,
            "guardrail_config": guardrail
            and {"guardrailIdentifier": guardrail.id, "guardrailVersion": guardrail.version},
        }
        return AsyncBedrockConverse(
            model_id=model.id,
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            client=self._client,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            disable_streaming=True,
            transport=self._transport,
            writer=self._writer,
            retries=self.retries,
            cache_from_tokens=cache_from_tokens,
            **{name: value for name, value in chosen.items() if value is not None},
        )

    async def aclose(self) -> None:
        """Close the connections of all models."""
        await self._transport.aclose()
