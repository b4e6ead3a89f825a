"""ChatBedrockConverse with a native ``ainvoke``: langchain-aws converts and parses, this sends."""

from __future__ import annotations

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
from pydantic import Field

from headgate_enricher.bedrock.retries import RetryPolicy
from headgate_enricher.bedrock.signing import create_signer
from headgate_enricher.bedrock.transport import ConverseTransport, TransportLimits

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage

    from headgate_enricher.bedrock.settings import BedrockSettings

# Settings of a call that are langchain's own and no parameters of Converse.
_NOT_FOR_CONVERSE = frozenset({"disable_streaming", "stream", "cache_control", "ls_structured_output_format"})
_KEEP_AS_WRITTEN = {"inputSchema", "properties", "thinking"}


class AsyncBedrockConverse(ChatBedrockConverse):
    """A Bedrock chat model whose calls wait on the event loop, not in threads.

    ``bind_tools``, ``ainvoke``, ``usage_metadata``, ``tool_calls`` and ``response_metadata`` (``stopReason``,
    ``ResponseMetadata`` with ``RetryAttempts``) are as in ChatBedrockConverse. Only the async calls exist, and they do
    not stream. Made by :func:`create_model`.

    Attributes:
        transport: Sends one attempt.
        retries: Repeats attempts; nothing else does.
        max_tokens: Longest answer in tokens; every call has one.
    """

    transport: ConverseTransport = Field(exclude=True)
    retries: RetryPolicy = Field(exclude=True)
    max_tokens: int

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 (langchain's signature)
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        headers = dict(self.default_headers or {})
        try:
            answer, failed = await self.retries.run(
                lambda left_s: self.transport.converse(request, headers, left_s),
            )
        except ClientError as error:
            _handle_bedrock_error(error)
            raise
        answer["ResponseMetadata"]["RetryAttempts"] = failed
        message = _parse_response(answer, inline_reasoning_tags=self._inline_reasoning_tags_for_model())
        name = self.base_model_id or self.model_id
        message.response_metadata |= {"model_provider": "bedrock_converse", "model_name": name}
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotImplementedError("This model is called with ainvoke: a blocking call has no pool, retry or deadline.")

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        turns, system = _messages_to_bedrock(
            messages, self.system, model_id=self._get_base_model(), provider=self.provider
        )
        if self.guard_last_turn_only:
            self._apply_guard_last_turn_only(turns)
        options = {name: value for name, value in kwargs.items() if name not in _NOT_FOR_CONVERSE}
        _apply_response_format(options)
        params = self._converse_params(stop=stop, **_snake_to_camel_keys(options, excluded_keys=_KEEP_AS_WRITTEN))
        params.setdefault("inferenceConfig", {}).setdefault("maxTokens", self.max_tokens)
        self._apply_cache_points(kwargs.get("cache_control"), system, turns, params)
        return {"messages": turns, "system": system, **params}


def create_model(settings: BedrockSettings) -> AsyncBedrockConverse:
    """Build the model; reads credentials, and asks Bedrock for the model behind an application inference profile.

    Raises:
        ConfigurationError: There are no credentials.
    """
    session = botocore.session.get_session()
    signer = create_signer(settings, session)
    client = session.create_client(
        "bedrock-runtime",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=Config(retries={"total_max_attempts": 1}),
    )
    limits = TransportLimits(settings.timeout_s, settings.connect_timeout_s, settings.max_connections)
    chosen = {"provider": settings.provider, "base_model_id": settings.base_model_id}
    return AsyncBedrockConverse(
        model_id=settings.model_id,
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        client=client,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        disable_streaming=True,
        transport=ConverseTransport(client.meta.endpoint_url, client.meta.service_model, signer, limits),
        retries=RetryPolicy(settings.max_attempts, settings.backoff_base_s, settings.backoff_cap_s),
        **{name: value for name, value in chosen.items() if value is not None},
    )
