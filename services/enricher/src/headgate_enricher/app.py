"""Wires the enricher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
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
from headgate_schemas import compile_rules, field_getter

from headgate_enricher.agents import load_agent
from headgate_enricher.bedrock import ModelFactory
from headgate_enricher.budget import check_ledger, ledger_contract, open_budget
from headgate_enricher.deliberation import Deliberation
from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.enrichment import Enrichment
from headgate_enricher.gateway.assembly import create_calls
from headgate_enricher.gateway.control import model_router
from headgate_enricher.gateway.errors import reason_of
from headgate_enricher.gateway.model import GatewayModel
from headgate_enricher.intake import Intake, RoutedIntake
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
from headgate_enricher.review_requests import ReviewRequests
from headgate_enricher.routing import Decider, Routing, check_table
from headgate_enricher.stages import Stages
from headgate_enricher.topics import check_topics, find_topics, load_contracts
from headgate_enricher.tracing.assembly import traced_stages

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordConsumer, RecordProducer, TransactionalProducer
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, TopicContract
    from headgate_schemas.agent import Memory

    from headgate_enricher.budget import OpenBudget
    from headgate_enricher.config import Settings
    from headgate_enricher.gateway.calls import Calls
    from headgate_enricher.gateway.routes import Routes
    from headgate_enricher.mcp import OpenTools
    from headgate_enricher.progress_log import ReadCompacted
    from headgate_enricher.results import ReadRange
    from headgate_enricher.topics import Topics

SERVICE = "enricher"
PROGRESS_TIMEOUT_S = 20.0  # with the committed offsets' 15 s well below the time at which the loop counts as stalled
READY_SHARE = 2  # one in so many of the calls that may run waits with its prompt ready
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


def build(settings: Settings) -> Service:
    """Build the service on real clients.

    Raises:
        ConfigurationError: Contracts, topics, schemas, agents, tools, prices or credentials are missing or wrong.
        UnavailableError: Broker, registry or an MCP server does not answer.
    """
    contracts = load_contracts(settings)
    topics = find_topics(settings, contracts)
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
    routing = _routing(settings, topics, calls, external)
    results = _results(contracts, topics, clients, routing)
    calls.record_in(results)
    decoder = Decoder(clients.registry, contracts.record(topics.source.record))
    stages = _stages(settings, contracts, topics, clients, routing)
    dispatcher = Dispatcher(
        consumer=clients.consumer,
        intake=RoutedIntake(Intake(decoder, compile_rules(topics.source)), routing),
        judge=stages.judge,
        model=ModelThread(stages.ask, partial(_close, external, clients.models), thread),
        enrichment=stages.enrichment,
        dead_letters=stages.dead_letters,
        outbox=stages.outbox,
        progress_log=_progress_log(settings, contracts, topics, clients),
        results=results,
        memories=_memories(settings, contracts, topics, clients, routing),
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
        info=lambda: _info(routing, calls.routes),
        close=budget.log.close,
        routers=[model_router(calls.routes), budget.router],
    )


def _encoder(contracts: Contracts, topic: TopicContract, registry: SchemaRegistry) -> Encoder:
    return Encoder(registry, topic.subject, contracts.record(topic.record))


def _stages(settings: Settings, contracts: Contracts, topics: Topics, clients: Clients, routing: Routing) -> Stages:
    stages = Stages(
        judge=Judge(routing.deciders),
        ask=_deliberation(settings, topics).ask,
        enrichment=_enrichment(contracts, topics, clients.registry),
        dead_letters=DeadLetters(
            _encoder(contracts, topics.dead_letters, clients.registry),
            topics.dead_letters.topic,
            SERVICE,
            max_bytes=topics.dead_letters.max_message_bytes - ENVELOPE_BYTES,
        ),
        outbox=Outbox(clients.transactions),
    )
    if settings.tracing.endpoint is None:
        return stages
    return traced_stages(stages, clients.transactions, group=settings.group_id)


def _enrichment(contracts: Contracts, topics: Topics, registry: SchemaRegistry) -> Enrichment:
    event_id = topics.output.fields.event_id
    return Enrichment(
        contract=topics.output,
        read_as=contracts.record(topics.source.record),
        write_as=contracts.record(topics.output.record),
        encoder=_encoder(contracts, topics.output, registry),
        same_frame=_encoder(contracts, topics.source, registry).prefix,
        event_id=field_getter(event_id) if event_id else None,
        pipeline_version=version("headgate-enricher"),
        requests=_requests(contracts, topics, registry),
    )


def _requests(contracts: Contracts, topics: Topics, registry: SchemaRegistry) -> ReviewRequests:
    return ReviewRequests(
        topic=topics.reviews.topic,
        decided=contracts.record(topics.output.record),
        asked=contracts.record(topics.reviews.record),
        prefix=_encoder(contracts, topics.reviews, registry).prefix,
        check=compile_rules(topics.reviews),
    )


def _routing(settings: Settings, topics: Topics, calls: Calls, external: OpenTools) -> Routing:
    check_table(settings.agents, topics.source)
    by_type: dict[str, Decider] = {}
    for place, (name, types) in enumerate(settings.agents.items()):
        model = GatewayModel(calls=calls)
        agent = load_agent(name, model, model_id=settings.models.primary.id, tools=external.tools)
        by_type |= dict.fromkeys(types, Decider(agent, place))
    return Routing(by_type, topics.source.fields.type)


def _deliberation(settings: Settings, topics: Topics) -> Deliberation:
    tenant = topics.source.fields.tenant
    return Deliberation(
        tenant=field_getter(tenant) if tenant else None,
        most=settings.max_in_flight + -(-settings.max_in_flight // READY_SHARE),
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
    settings: Settings, contracts: Contracts, topics: Topics, clients: Clients, routing: Routing
) -> StateStore[Memory]:
    encoder = _encoder(contracts, topics.memory, clients.registry)
    decoder = Decoder(clients.registry, contracts.record(topics.memory.record))
    return StateStore(
        topic=topics.memory.topic,
        codecs={
            f"{settings.group_id}/{decider.name}": MemoryCodec(decider.name, encoder, decoder)
            for decider in routing.deciders
        },
        read=clients.read_range,
        capacity=settings.memory_keys,
        folder=settings.state_dir,
    )


def _results(contracts: Contracts, topics: Topics, clients: Clients, routing: Routing) -> ModelResults:
    return ModelResults(
        topic=topics.results.topic,
        agent_versions={decider.version for decider in routing.deciders},
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


def _info(routing: Routing, routes: Routes) -> dict[str, object]:
    return {
        "agents": {
            decider.name: {"version": decider.version, "event_types": routing.types_of(decider)}
            for decider in routing.deciders
        },
        "models": {name: endpoint and endpoint.id for name, endpoint in routes.table.named().items()},
    }
