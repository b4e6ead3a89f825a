"""Spans of what happens between an agent and a model; nothing where the event is not sampled.

Their names and attributes are those of the GenAI semantic conventions; no prompt and no answer is among them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headgate_runtime.tracing.spans import current_span, fail
from opentelemetry.trace import INVALID_SPAN, SpanKind, get_current_span, get_tracer

from headgate_enricher.gateway.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from headgate_enricher.gateway.endpoint import Reply
    from headgate_enricher.gateway.protocols import RecordedAnswer

_TRACER = get_tracer("headgate_enricher")
_PARAMETERS = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p"}


@contextmanager
def turn_span(model_id: str) -> Iterator[Span]:
    """The wait for a turn at a model: for a free slot, for the rate, for the budget."""
    with _span(f"reserve {model_id}", SpanKind.INTERNAL, {"headgate.model": model_id}) as span:
        yield span


@contextmanager
def chat_span(model_id: str, parameters: Mapping[str, Any]) -> Iterator[Span]:
    """One attempt at a model.

    Args:
        model_id: The model.
        parameters: The parameters of Converse, without messages.
    """
    inference = parameters["inferenceConfig"]
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": model_id,
        **{f"gen_ai.request.{name}": inference[key] for key, name in _PARAMETERS.items() if key in inference},
    }
    if "guardrailConfig" in parameters:
        attributes["aws.bedrock.guardrail.id"] = parameters["guardrailConfig"]["guardrailIdentifier"]
    with _span(f"chat {model_id}", SpanKind.CLIENT, attributes) as span:
        yield span


def show_reply(span: Span, reply: Reply) -> None:
    """Say in an attempt's span what came of it."""
    if not span.is_recording():
        return
    told = reply.message.response_metadata
    span.set_attributes(
        {
            "gen_ai.response.model": told.get("model_name", reply.model_id),
            "gen_ai.response.finish_reasons": [told["stopReason"]] if "stopReason" in told else [],
            "gen_ai.usage.input_tokens": reply.usage.input_tokens,
            "gen_ai.usage.output_tokens": reply.usage.output_tokens,
            "headgate.cost_microdollars": reply.cost_microdollars,
        }
    )


def show_reused(source: str, kept: RecordedAnswer) -> None:
    """Say in the deliberation's span that an answer was there already, so that no attempt is to be seen."""
    get_current_span().add_event(
        "headgate.answer_reused", {"headgate.source": source, "gen_ai.response.model": kept.model_id}
    )


@contextmanager
def _span(name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue]) -> Iterator[Span]:
    if not get_current_span().is_recording():
        yield INVALID_SPAN
        return
    with current_span(_TRACER, name, attributes, kind=kind) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, "cancelled" if isinstance(error, asyncio.CancelledError) else reason_of(error))
            raise
