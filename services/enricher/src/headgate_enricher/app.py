"""Wires the enricher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_runtime.state import StateStore
from headgate_schemas import ContractError, Contracts, compile_rules, field_getter

from headgate_enricher.agents import load_agent
from headgate_enricher.bedrock import ModelFactory
from headgate_enricher.budget import check_ledger, ledger_contract, open_budget
from headgate_enricher.deliberation import Deliberation
from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.enrichment import Enrichment, Stamp
from headgate_enricher.gateway.assembly import create_calls
from headgate_enricher.gateway.control import model_router
from headgate_enricher.gateway.errors import reason_of
from headgate_enricher.gateway.model import GatewayModel
from headgate_enricher.intake import Intake
from headgate_enricher.judge import Judge
from headgate_enricher.limits import Limits
from headgate_enricher.loop_thread import LoopThread
from headgate_enricher.mcp import open_tools
from headgate_enricher.memory import MemoryCodec
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.model_thread import ModelThread
from headgate_enricher.outbox import Outbox
from headgate_enricher.pricing import load_prices
from headgate_enricher.progress_log import ProgressLog
from headgate_enricher.results import ModelResults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_runtime.kafka.protocols import RecordConsumer, RecordProducer, TransactionalProducer
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import TopicContract
    from headgate_schemas.agent import Agent, Memory

    from headgate_enricher.budget import OpenBudget
    from headgate_enricher.config import Settings
    from headgate_enricher.gateway.routes import Routes
    from headgate_enricher.mcp import OpenTools
    from headgate_enricher.progress_log import ReadCompacted
    from headgate_enricher.results import ReadRange

SERVICE = "enricher"
PROGRESS_TIMEOUT_S = 20.0  # with the committed offsets' 15 s well below the time at which the loop counts as stalled
READY_WAIT_S = 30.0  # on top of what a model may take


@dataclass(frozen=True, slots=True)
class Clients:
    """What the enricher talks to; a test hands in others."""

    consumer: RecordConsumer
    transactions: TransactionalProducer
    producer: RecordProducer
    registry: SchemaRegistry
    read_compacted: ReadCompacted
    read_range: ReadRange
    models: ModelFactory
    open_budget: OpenBudget


@dataclass(frozen=True, slots=True)
class Topics:
    """Contracts of the topics the enricher uses."""

    source: TopicContract
    output: TopicContract
    progress: TopicContract
    results: TopicContract
    memory: TopicContract
    dead_letters: TopicContract


def build(settings: Settings) -> Service:
    """Build the service on real clients.

    Raises:
        ConfigurationError: Contracts, topics, schemas, agent, tools, price or credentials are missing or wrong.
        UnavailableError: Broker, registry or an MCP server does not answer.
    """
    contracts = _contracts(settings)
    topics = _topics(settings, contracts)
    ledger = ledger_contract(contracts, settings.budget_topic)
    existing = KafkaAdmin(settings.kafka).topics()
    check_topics(topics, existing)
    check_ledger(ledger, existing)
    registry = ConfluentRegistry(settings.registry)
    connections = max(settings.bedrock.max_connections, settings.max_in_flight)
    # The producer comes first: taking over the transactional id settles what the last holder left open.
    clients = Clients(
        transactions=KafkaTransactionalProducer(
            settings.kafka, transactional_id=f"{settings.group_id}-{settings.instance}"
        ),
        consumer=KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance),
        producer=KafkaProducer(settings.kafka),
        registry=registry,
        read_compacted=partial(read_compacted, settings.kafka, timeout_s=PROGRESS_TIMEOUT_S),
        read_range=partial(read_range, settings.kafka, timeout_s=PROGRESS_TIMEOUT_S),
        models=ModelFactory(settings.bedrock.model_copy(update={"max_connections": connections})),
        open_budget=partial(
            open_budget,
            settings.budget,
            agent=settings.agent,
            replica=settings.instance,
            kafka=settings.kafka,
            registry=registry,
            contract=ledger,
            record=contracts.record(ledger.record),
        ),
    )
    return assemble(settings, contracts, topics, clients)


def assemble(settings: Settings, contracts: Contracts, topics: Topics, clients: Clients) -> Service:
    """Wire the service over any clients; raises as ``build``."""
    metrics = Metrics()
    prices = load_prices(settings.prices_file)
    budget = clients.open_budget(metrics=metrics)
    calls = create_calls(settings, clients.models, prices, budget.purse, metrics)
    thread = LoopThread("model")
    external = open_tools(settings.mcp, thread, metrics)
    agent = load_agent(
        settings.agent, GatewayModel(calls=calls), model_id=settings.models.primary.id, tools=external.tools
    )
    stamp = Stamp(
        agent=agent.name,
        agent_version=agent.version,
        pipeline_version=version("headgate-enricher"),
    )
    results = _results(contracts, topics, clients, agent)
    calls.record_in(results)
    deliberation = _deliberation(settings, topics, agent)
    dispatcher = Dispatcher(
        consumer=clients.consumer,
        intake=Intake(Decoder(clients.registry, contracts.record(topics.source.record)), compile_rules(topics.source)),
        judge=Judge(agent),
        model=ModelThread(deliberation.ask, partial(_close, external, clients.models), thread),
        enrichment=_enrichment(contracts, topics, clients.registry, stamp),
        dead_letters=DeadLetters(
            _encoder(contracts, topics.dead_letters, clients.registry),
            topics.dead_letters.topic,
            SERVICE,
            max_bytes=topics.dead_letters.max_message_bytes - ENVELOPE_BYTES,
        ),
        outbox=Outbox(clients.transactions),
        progress_log=_progress_log(settings, contracts, topics, clients),
        results=results,
        memories=_memories(settings, contracts, topics, clients, agent),
        limits=_limits(settings, topics),
        metrics=EnricherMetrics(metrics),
    )
    loop = Loop(
        clients.consumer,
        dispatcher,
        topics=[topics.source.topic],
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
    )
    return Service(
        name=SERVICE,
        loop=loop,
        metrics=metrics,
        ready=lambda: dispatcher.why_not_ready() or budget.log.why_not_ready(),
        info=lambda: _info(agent, calls.routes),
        close=budget.log.close,
        routers=[model_router(calls.routes), budget.router],
    )


def check_topics(topics: Topics, existing: Mapping[str, TopicInfo]) -> None:
    """Check that the topics are there.

    Raises:
        ConfigurationError: One is not, or one that goes along with the source has too few partitions.
    """
    wanted = (topics.source, topics.output, topics.progress, topics.results, topics.memory, topics.dead_letters)
    missing = sorted({topic.topic for topic in wanted} - set(existing))
    if missing:
        raise ConfigurationError(f"No topic {', '.join(missing)}: run `headgate topics apply`.")
    source = existing[topics.source.topic].partitions
    for beside in (topics.progress.topic, topics.results.topic, topics.memory.topic):
        if existing[beside].partitions < source:
            raise ConfigurationError(
                f"{beside} has {existing[beside].partitions} partitions and {topics.source.topic} has {source}: "
                f"add partitions to {beside}, one for each of the other's."
            )


def _contracts(settings: Settings) -> Contracts:
    try:
        return Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


def _topics(settings: Settings, contracts: Contracts) -> Topics:
    try:
        source = contracts.topic(settings.topic)
        if source.dead_letters is None:
            raise ConfigurationError(f"Topic {source.topic} names no dead_letters topic: add one to its contract.")
        return Topics(
            source,
            contracts.topic(settings.output_topic),
            contracts.topic(settings.progress_topic),
            contracts.topic(settings.results_topic),
            contracts.topic(settings.memory_topic),
            contracts.topic(source.dead_letters),
        )
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


def _encoder(contracts: Contracts, topic: TopicContract, registry: SchemaRegistry) -> Encoder:
    return Encoder(registry, topic.subject, contracts.record(topic.record))


def _enrichment(contracts: Contracts, topics: Topics, registry: SchemaRegistry, stamp: Stamp) -> Enrichment:
    event_id = topics.output.fields.event_id
    return Enrichment(
        topic=topics.output.topic,
        read_as=contracts.record(topics.source.record),
        write_as=contracts.record(topics.output.record),
        encoder=_encoder(contracts, topics.output, registry),
        same_frame=_encoder(contracts, topics.source, registry).prefix,
        check=compile_rules(topics.output),
        event_id=field_getter(event_id) if event_id else None,
        stamp=stamp,
    )


def _deliberation(settings: Settings, topics: Topics, agent: Agent) -> Deliberation:
    tenant = topics.source.fields.tenant
    return Deliberation(
        agent,
        tenant=field_getter(tenant) if tenant else None,
        max_in_flight=settings.max_in_flight,
        reason_of=reason_of,
    )


def _progress_log(settings: Settings, contracts: Contracts, topics: Topics, clients: Clients) -> ProgressLog:
    return ProgressLog(
        topic=topics.progress.topic,
        group=settings.group_id,
        encoder=_encoder(contracts, topics.progress, clients.registry),
        decoder=Decoder(clients.registry, contracts.record(topics.progress.record)),
        read=clients.read_compacted,
    )


def _memories(
    settings: Settings, contracts: Contracts, topics: Topics, clients: Clients, agent: Agent
) -> StateStore[Memory]:
    encoder = _encoder(contracts, topics.memory, clients.registry)
    decoder = Decoder(clients.registry, contracts.record(topics.memory.record))
    return StateStore(
        topic=topics.memory.topic,
        namespace=f"{settings.group_id}/{agent.name}",
        codec=MemoryCodec(agent.name, encoder, decoder),
        read=clients.read_range,
        capacity=settings.memory_keys,
        folder=settings.state_dir,
    )


def _results(contracts: Contracts, topics: Topics, clients: Clients, agent: Agent) -> ModelResults:
    return ModelResults(
        topic=topics.results.topic,
        agent_version=agent.version,
        encoder=_encoder(contracts, topics.results, clients.registry),
        decoder=Decoder(clients.registry, contracts.record(topics.results.record)),
        producer=clients.producer,
        read=clients.read_range,
    )


def _limits(settings: Settings, topics: Topics) -> Limits:
    return Limits(
        event_deadline_s=settings.event_deadline_s,
        commit_interval_s=settings.commit_interval_ms / 1000,
        triage_batch=settings.triage_batch,
        max_at_model=settings.max_at_model,
        max_backlog=settings.max_backlog,
        max_wait_s=settings.event_deadline_s + READY_WAIT_S,
        max_output_bytes=topics.output.max_message_bytes - ENVELOPE_BYTES,
    )


async def _close(external: OpenTools, models: ModelFactory) -> None:
    await external.aclose()
    await models.aclose()


def _info(agent: Agent, routes: Routes) -> dict[str, object]:
    return {
        "agent": agent.name,
        "agent_version": agent.version,
        "models": {name: endpoint and endpoint.id for name, endpoint in routes.table.named().items()},
    }
