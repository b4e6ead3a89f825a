"""One span a sampled event, on every way an event can take; and nothing for the others."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent
from headgate_enricher.routing import Decider
from headgate_enricher.stages import Stages
from headgate_enricher.tracing.assembly import traced_stages
from headgate_enricher.work import Answer, Partition, Work
from headgate_runtime.errors import UnavailableError
from headgate_runtime.outbox import Outbox, Output
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing import MemoryBroker
from headgate_runtime.testing.producer import MemoryTransactionalProducer
from headgate_runtime.tracing import identity
from headgate_schemas.agent import Decision, GreyCase, Usage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id, get_current_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_enricher.progress import PartitionProgress
    from opentelemetry.sdk.trace import ReadableSpan

SOURCE = TopicPartition("raw-events", 2)
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RULES = Decision("allow", "free text of an agent", 0.1, "low", 0.9, "rules")
FALLBACK = Decision("flag_high_risk", "free text", 0.9, "high", 0.9, "fallback", fallback_reason="throttled")
GREY = GreyCase({"secret": "a payload's value"}, {}, RULES)
SPENT = Spent("amazon.nova-micro-v1:0", Usage(2, 900, 80), 43)


class Named:
    """An agent, as far as spans are concerned."""

    name, version = "risk", "abc"


DECIDER = Decider(cast("Any", Named()), 0)


class Path:
    """The traced stages around stages that do as little as can be."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("enriched-events")
        self.broker.create_topic("raw-events.dlq")
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.grey = False
        self.seen_inside: list[int] = []
        self.away = False
        transactions = MemoryTransactionalProducer(self.broker, "t")
        plain = Stages(
            cast("Any", self), cast("Any", self), self.ask, cast("Any", self), cast("Any", self), Outbox(transactions)
        )
        self.stages = traced_stages(plain, transactions, group="enricher", tracer=provider.get_tracer("test"))
        self.partition = Partition(SOURCE, cast("PartitionProgress", None), ())

    def triage(self, works: Sequence[Work]) -> None:
        for work in works:
            work.triaged = GREY if self.grey else RULES

    def conclude(self, _work: Work, case: GreyCase, answer: Answer) -> Decision:
        assert case is GREY
        return answer.decision or FALLBACK

    async def ask(self, _work: Work, case: GreyCase) -> Answer:
        assert case is GREY
        self.seen_inside.append(get_current_span().get_span_context().span_id)
        return Answer(None, "throttled", 0.5, SPENT)

    def build(self, work: Work, *_: object, now_ms: int) -> OutgoingRecord:
        record = work.record
        headers = [header for header in record.headers if header[0] != "event-id"]
        return OutgoingRecord("enriched-events", record.key, str(now_ms).encode(), (*headers, ("event-id", b"e1")))

    def record(self, source: Record, *, cause: str, **_: object) -> OutgoingRecord:
        return OutgoingRecord("raw-events.dlq", source.key, cause.encode(), source.headers)

    def arrive(self, flags: str | None = "01", offset: int = 7) -> Work:
        headers = () if flags is None else (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-{flags}".encode()),)
        record = Record(*SOURCE, offset, 0, b"k", b"a payload's value", headers)
        self.partition.arrivals.append((time.monotonic() - 2.0, offset))
        work = Work(self.partition, record, {"secret": "a payload's value"}, time.monotonic() + 5, DECIDER)
        self.stages.judge.triage([work])
        return work

    def deliberate(self, work: Work) -> Answer:
        return asyncio.run(cast("Any", self.stages.ask(work, GREY)))

    def emit(self, work: Work, decision: Decision = RULES, spent: Spent = NOTHING_SPENT) -> OutgoingRecord:
        output = self.stages.enrichment.build(work, decision, spent, now_ms=7)
        self.stages.outbox.put(Output(SOURCE, 0, output))
        return output

    def commit(self) -> bool:
        return self.stages.outbox.commit([], {}, self.group) is not None

    def group(self) -> object:
        if self.away:
            raise UnavailableError("the coordinator does not answer")
        return None

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return format_span_id(span.parent.span_id)


def test_a_sampled_event_has_a_span_from_its_arrival_to_the_commit_of_its_decision() -> None:
    path = Path()
    output = path.emit(path.arrive())
    assert list(path.spans()) == ["triage"]
    assert path.commit()
    process, triage = path.spans()["process raw-events"], path.spans()["triage"]
    assert process.kind is SpanKind.CONSUMER
    assert (ids(process)[0], parent_of(process)) == (TRACE_ID, PARENT_ID)
    assert parent_of(triage) == ids(process)[1]
    assert dict(process.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "raw-events",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 7,
        "messaging.consumer.group.name": "enricher",
        "headgate.event_id": "e1",
        "headgate.decision": "allow",
        "headgate.tier": "rules",
        "headgate.agent": "risk",
        "headgate.agent_version": "abc",
        "headgate.model_calls": 0,
        "headgate.cost_microdollars": 0,
    }
    assert dict(triage.attributes or {}) == {"messaging.batch.message_count": 1, "headgate.grey": False}
    assert process.start_time is not None
    assert process.end_time is not None
    assert triage.start_time is not None
    assert triage.start_time - process.start_time >= 1_900_000_000
    assert identity(output.headers) == {"trace_id": TRACE_ID, "event_id": "e1"}
    assert dict(output.headers)["traceparent"] == f"00-{TRACE_ID}-{ids(process)[1]}-01".encode()


def test_a_deliberation_is_a_span_that_what_happens_inside_is_below() -> None:
    path = Path()
    path.grey = True
    work = path.arrive()
    answer = path.deliberate(work)
    path.emit(work, path.stages.judge.conclude(work, GREY, answer), answer.spent)
    path.commit()
    process, invoked = path.spans()["process raw-events"], path.spans()["invoke_agent risk"]
    assert parent_of(invoked) == ids(process)[1]
    assert path.seen_inside == [int(ids(invoked)[1], 16)]
    assert dict(invoked.attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.agent.name": "risk",
        "gen_ai.agent.version": "abc",
        "gen_ai.usage.input_tokens": 900,
        "gen_ai.usage.output_tokens": 80,
        "headgate.cost_microdollars": 43,
        "error.type": "throttled",
    }
    assert not invoked.status.is_ok
    decided = process.attributes or {}
    assert (decided["headgate.tier"], decided["headgate.fallback_reason"]) == ("fallback", "throttled")
    assert (decided["headgate.model_calls"], decided["headgate.cost_microdollars"]) == (2, 43)


@pytest.mark.parametrize("flags", ["00", "02", None])
def test_an_event_that_is_not_sampled_has_no_span_and_its_header_is_passed_on(flags: str | None) -> None:
    path = Path()
    path.grey = True
    work = path.arrive(flags)
    answer = path.deliberate(work)
    output = path.emit(work, path.stages.judge.conclude(work, GREY, answer))
    letter = path.stages.dead_letters.record(work.record, cause="agent_error", message="m")
    path.commit()
    assert path.seen_inside == [0]
    assert path.spans() == {}
    given = dict(work.record.headers).get("traceparent")
    assert dict(output.headers).get("traceparent") == dict(letter.headers).get("traceparent") == given


def test_a_dead_letter_ends_a_span_with_its_cause_also_before_any_triage() -> None:
    path = Path()
    headers = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode()), ("event-id", b"e9"))
    record = Record(*SOURCE, 9, 0, b"k", b"?", headers)
    letter = path.stages.dead_letters.record(record, cause="undecodable", message="m")
    path.stages.outbox.put(Output(SOURCE, 0, letter))
    path.commit()
    process = path.spans()["process raw-events"]
    assert not process.status.is_ok
    assert (process.attributes or {})["error.type"] == "undecodable"
    assert (process.attributes or {})["headgate.event_id"] == "e9"
    assert dict(letter.headers)["traceparent"] == f"00-{TRACE_ID}-{ids(process)[1]}-01".encode()


def test_a_decision_that_is_too_large_to_get_out_is_a_dead_letter_in_the_same_span() -> None:
    path = Path()
    work = path.arrive()
    path.stages.enrichment.build(work, RULES, NOTHING_SPENT, now_ms=7)
    path.stages.dead_letters.record(work.record, cause="too_large", message="m")
    path.commit()
    assert [span.name for span in path.exporter.get_finished_spans()] == ["triage", "process raw-events"]
    assert (path.spans()["process raw-events"].attributes or {})["error.type"] == "too_large"


def test_a_commit_that_has_to_be_repeated_ends_no_span() -> None:
    path = Path()
    path.emit(path.arrive())
    path.away = True
    assert not path.commit()
    assert "process raw-events" not in path.spans()
    path.away = False
    assert path.commit()
    assert "process raw-events" in path.spans()


def test_a_partition_that_goes_ends_its_spans_as_given_up_and_leaves_those_of_others() -> None:
    path = Path()
    path.emit(path.arrive(offset=7))
    path.grey = True
    path.arrive(offset=8)
    path.stages.outbox.drop([TopicPartition("raw-events", 5)])
    assert "process raw-events" not in path.spans()
    path.stages.outbox.drop([SOURCE])
    given_up = [span for span in path.exporter.get_finished_spans() if span.name == "process raw-events"]
    assert [(span.attributes or {})["headgate.given_up"] for span in given_up] == [True, True]
    path.commit()
    assert len(path.exporter.get_finished_spans()) == 4


def test_an_event_that_waits_for_the_model_keeps_its_span_over_the_commits_of_others() -> None:
    path = Path()
    path.grey = True
    waiting = path.arrive(offset=7)
    path.emit(path.arrive(offset=8))
    path.commit()
    assert len([span for span in path.exporter.get_finished_spans() if span.name == "process raw-events"]) == 1
    path.emit(waiting)
    path.commit()
    assert len([span for span in path.exporter.get_finished_spans() if span.name == "process raw-events"]) == 2


def test_no_span_holds_a_payload_nor_an_agents_text() -> None:
    path = Path()
    path.grey = True
    work = path.arrive()
    answer = path.deliberate(work)
    path.emit(work, FALLBACK, answer.spent)
    path.commit()
    told = "".join(span.to_json() for span in path.exporter.get_finished_spans())
    assert "payload's value" not in told
    assert "free text" not in told
