"""A span a tool's call, below whatever span the agent runs in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk import tracing
from headgate_agent_risk.external import Outside
from headgate_agent_risk.lookups import CurrencyArguments, LookUp
from headgate_agent_risk.toolbox import Toolbox
from headgate_agent_toolkit.masking import Masker
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Said(BaseModel):
    secret: str = "an account's secret"


async def find(arguments: CurrencyArguments, _case: Any) -> Said:
    assert arguments.currency
    return Said()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(tracing, "_TRACER", tracer)
    return tracer


def call(name: str, **arguments: str) -> None:
    tools, nobody = [LookUp("quick", "Quick.", CurrencyArguments, find)], Outside([], Masker({}, ()))
    toolbox = Toolbox(tools, allowed=["quick"], time_limit_s=1.0, outside=nobody)
    calls: Any = [{"name": name, "args": arguments, "id": "call-1", "type": "tool_call"}]
    case: Any = None
    asyncio.run(toolbox.answer(calls, case))


def test_a_call_of_a_tool_has_a_span_without_arguments_and_results(
    exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("invoke_agent") as invoked:
        call("quick", currency="EUR")
    [span, _] = exporter.get_finished_spans()
    assert (span.name, span.parent) == ("execute_tool quick", invoked.get_span_context())
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "quick",
        "gen_ai.tool.type": "function",
    }


def test_a_call_that_is_refused_says_so_and_a_name_the_model_made_up_stays_out(
    exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("invoke_agent"):
        call("words of a payload")
        call("quick", currency="words of a payload")
    first, second, _ = exporter.get_finished_spans()
    assert (first.name, second.name) == ("execute_tool unlisted", "execute_tool quick")
    assert {(span.attributes or {})["error.type"] for span in (first, second)} == {"refused"}
    assert "words of a payload" not in first.to_json() + second.to_json()


def test_where_nothing_is_traced_a_call_has_no_span(exporter: InMemorySpanExporter, tracer: Tracer) -> None:
    call("quick", currency="EUR")
    assert tracer
    assert exporter.get_finished_spans() == ()
