"""The loop a team writes first, as the peer of the enricher: poll 100 events, gather one graph run each, produce, commit.

It is given the same agent, the same codecs and the same client library, so that what differs is the loop: a LangGraph
run for every event, langchain-aws's own ChatBedrockConverse, and a batch that waits for its slowest event. Its nodes
are coroutines, because LangGraph runs plain functions on other threads, which would only make it slower. It promises
less than the enricher: no deadline, no order, no dead letters, and a crash repeats a batch.

Run by ``tests/bench/enricher.py``: ``python -m tests.bench.naive_loop BROKERS REGISTRY MODEL GROUP TOPIC``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from confluent_kafka import Consumer, Producer
from headgate_agent_risk.context import load_context
from headgate_agent_risk.triage import TriageNodes
from headgate_enricher.agents import load_agent
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import RegistrySettings
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts
from headgate_schemas.agent import Decision, GreyCase
from langgraph.graph import END, START, StateGraph

from tests.load.traffic import AGENT, MODEL_ID, SOURCE, plain_model

if TYPE_CHECKING:
    from headgate_schemas.agent import Agent

OUTPUT = "enriched-events"
BATCH = 100
POLL_S = 0.5


class State(TypedDict, total=False):
    """What one event's run passes from node to node."""

    event: dict[str, Any]
    found: Decision | GreyCase
    record: dict[str, Any]


class Nodes:
    """rules -> model, where the rules cannot tell -> decide."""

    def __init__(self, agent: Agent, rules: TriageNodes) -> None:
        self._agent = agent
        self._steps = (rules.features, rules.rules, rules.score, rules.split)

    async def rules(self, state: State) -> State:
        """Look at the event, in one node: the agent's own graph inside of this one would be a second run."""
        found: Any = {"events": [state["event"]], "memories": [None]}
        for step in self._steps:
            found |= step(found)
        return {"found": found["results"][0]}

    async def model(self, state: State) -> State:
        """Ask about it."""
        found = state["found"]
        return {"found": await self._agent.deliberate(found) if isinstance(found, GreyCase) else found}

    async def decide(self, state: State) -> State:
        """Make the output record."""
        return {"record": enriched(state["event"], state["found"], self._agent)}


def after_rules(state: State) -> Literal["model", "decide"]:
    """Where a run goes on."""
    return "model" if isinstance(state["found"], GreyCase) else "decide"


def enriched(event: dict[str, Any], found: Decision | GreyCase, agent: Agent) -> dict[str, Any]:
    """The event with its decision, as the output topic's record has it."""
    decision = found if isinstance(found, Decision) else found.floor
    usage, now_ms = decision.usage, time.time_ns() // 1_000_000
    return {
        **event,
        "agent_metadata": {
            "decision": decision.decision,
            "decision_reason": decision.decision_reason,
            "risk_score": decision.risk_score,
            "priority": decision.priority,
            "confidence": decision.confidence,
            "agent": agent.name,
            "agent_version": agent.version,
            "revision": 0,
            "tier": decision.tier,
            "model_id": MODEL_ID if usage.calls else None,
            "prompt_hash": decision.prompt_hash,
            "model_calls": usage.calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_microdollars": 0,
            "fallback_reason": decision.fallback_reason,
            "evidence": [{"source": each.source, "name": each.name, "value": each.value} for each in decision.evidence],
        },
        "processing_metadata": {
            "ingestion_time": now_ms,
            "processing_time": now_ms,
            "pipeline_version": "naive",
            "source_topic": SOURCE,
            "source_partition": 0,
            "source_offset": 0,
            "trace_id": None,
        },
    }


def graph(agent: Agent) -> Any:
    """Compile the graph that runs once an event."""
    nodes, builder = Nodes(agent, TriageNodes(load_context(MODEL_ID))), StateGraph(State)
    builder.add_node("rules", nodes.rules)
    builder.add_node("model", nodes.model)
    builder.add_node("decide", nodes.decide)
    builder.add_edge(START, "rules")
    builder.add_conditional_edges("rules", after_rules, ["model", "decide"])
    builder.add_edge("model", "decide")
    builder.add_edge("decide", END)
    return builder.compile()


async def loop(brokers: str, registry_url: str, model_url: str, group: str, topic: str) -> None:
    """Enrich until the process is ended."""
    contracts = Contracts.load()
    registry = ConfluentRegistry(RegistrySettings(url=registry_url))
    source, output = contracts.topic(SOURCE), contracts.topic(OUTPUT)
    decode = Decoder(registry, contracts.record(source.record)).decode
    encode = Encoder(registry, output.subject, contracts.record(output.record)).encode
    run = graph(load_agent(AGENT, plain_model(model_url), model_id=MODEL_ID)).ainvoke
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "enable.auto.commit": "false",
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
    consumer.subscribe([SOURCE])
    while True:
        batch = [message for message in consumer.consume(BATCH, POLL_S) if message.error() is None]
        if not batch:
            continue
        states = await asyncio.gather(*(run({"event": decode(message.value())}) for message in batch))
        for message, state in zip(batch, states, strict=True):
            producer.produce(topic, encode(state["record"]), message.key())
        producer.flush()
        consumer.commit(asynchronous=False)


if __name__ == "__main__":
    asyncio.run(loop(*sys.argv[1:]))
