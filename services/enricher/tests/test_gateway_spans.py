"""What a trace tells of the calls of models, by the GenAI semantic conventions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from headgate_enricher.gateway import spans
from headgate_enricher.gateway.errors import GatewayError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from .scripted_models import FALLBACK, INPUT_TOKENS, MAX_TOKENS, OUTPUT_TOKENS, PRIMARY, CountingPurse, World, refused

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(spans, "_TRACER", tracer)
    return tracer


def ask(world: World, tracer: Tracer, times: int = 1) -> None:
    async def run() -> None:
        with tracer.start_as_current_span("invoke_agent"):
            for number in range(times):
                await world.ask("a secret of the prompt", offset=number)

    asyncio.run(run())


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name.startswith(name)]


def test_an_attempt_is_a_chat_span_after_the_span_of_its_wait(exporter: InMemorySpanExporter, tracer: Tracer) -> None:
    ask(World(), tracer)
    reserve, chat, invoked = exporter.get_finished_spans()
    assert [span.name for span in (reserve, chat)] == [f"reserve {PRIMARY}", f"chat {PRIMARY}"]
    assert reserve.parent == chat.parent == invoked.get_span_context()
    assert chat.kind is SpanKind.CLIENT
    told = dict(chat.attributes or {})
    assert told.pop("headgate.cost_microdollars")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": PRIMARY,
        "gen_ai.request.max_tokens": MAX_TOKENS,
        "gen_ai.response.model": PRIMARY,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": INPUT_TOKENS,
        "gen_ai.usage.output_tokens": OUTPUT_TOKENS,
    }
    assert [event.name for event in reserve.events] == ["headgate.slot_free", "headgate.rate_free"]
    assert "secret" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_every_attempt_has_a_span_and_one_that_failed_says_how(exporter: InMemorySpanExporter, tracer: Tracer) -> None:
    world = World()
    world.script(PRIMARY, refused(429))
    ask(world, tracer)
    first, second = named(exporter, "chat")
    assert (first.name, (first.attributes or {})["error.type"]) == (f"chat {PRIMARY}", "throttled")
    assert not first.status.is_ok
    assert first.status.description is None
    assert first.events == ()
    assert (second.name, second.status.description) == (f"chat {FALLBACK}", None)


def test_a_call_that_the_budget_does_not_pay_ends_the_wait_and_is_no_chat(
    exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    with pytest.raises(GatewayError):
        ask(World(CountingPurse(limit=0)), tracer)
    assert named(exporter, "chat") == []
    assert {(span.attributes or {})["error.type"] for span in named(exporter, "reserve")} == {"budget"}


def test_an_answer_that_was_there_already_is_an_event_of_the_deliberation(
    exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    ask(World(), tracer, times=2)
    assert len(named(exporter, "chat")) == 1
    [invoked] = named(exporter, "invoke_agent")
    [event] = invoked.events
    assert (event.name, (event.attributes or {})["headgate.source"]) == ("headgate.answer_reused", "cached")


def test_a_call_for_an_event_that_is_not_sampled_leaves_nothing(exporter: InMemorySpanExporter, tracer: Tracer) -> None:
    asyncio.run(World().ask())
    assert tracer
    assert exporter.get_finished_spans() == ()
