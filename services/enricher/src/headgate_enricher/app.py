"""Wires the enricher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.follower import KafkaFollower
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import ENVELOPE_BYTES, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_runtime.state import StateStore
from pydantic import SecretStr

from headgate_enricher.agents import load_agent
from headgate_enricher.assembly import SERVICE, StageAssembly
from headgate_enricher.bedrock.model import ModelFactory
from headgate_enricher.budget.opening import Budget, check_ledger, ledger_contract, open_budget
from headgate_enricher.canary import Canary, check_canary
from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.forgetting import Forgetting, forget_router
from headgate_enricher.gateway.assembly import create_calls
from headgate_enricher.gateway.control import model_router
from headgate_enricher.gateway.model import GatewayModel
from headgate_enricher.limits import Limits
from headgate_enricher.loop_thread import LoopThread
from headgate_enricher.mcp import open_tools
from headgate_enricher.memory import MemoryCodec
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.model_thread import ModelThread
from headgate_enricher.pricing import load_prices
from headgate_enricher.profiles.opening import profiled
from headgate_enricher.progress_log import ProgressLog
from headgate_enricher.replay.answers import RecordedAnswers
from headgate_enricher.replay.purse import FixedPurse
from headgate_enricher.results import ModelResults
from headgate_enricher.roles import check_role
from headgate_enricher.routing import Decider, Routing, check_table
from headgate_enricher.shadow.purse import ShadowPurse
from headgate_enricher.starting import transactional_id
from headgate_enricher.topics import check_profiles, check_topics, find_topics, load_contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_runtime.kafka.protocols import RecordConsumer, RecordProducer, TransactionalProducer
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, TopicContract
    from headgate_schemas.agent import Memory

    from headgate_enricher.budget.opening import OpenBudget
    from headgate_enricher.config import Settings
    from headgate_enricher.gateway.calls import Calls
    from headgate_enricher.gateway.routes import Routes
    from headgate_enricher.mcp import OpenTools
    from headgate_enricher.profiles.following import Follower
    from headgate_enricher.progress_log import ReadCompacted
    from headgate_enricher.results import ReadRange
    from headgate_enricher.topics import Topics

PROGRESS_TIMEOUT_S = 20.0  # with the committed offsets' 15 s well below the time at which the loop counts as stalled
READY_WAIT_S = 30.0  # on top of what a model may take
RECORDED_TIMEOUT_S = 600.0  # for all answers of a topic
UNHURRIED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Clients:
    """What the enricher talks to; a test hands in others. ``recorded`` takes the models' place in a replay."""

    consumer: RecordConsumer
    transactions: TransactionalProducer
    producer: RecordProducer
    registry: SchemaRegistry
    read_compacted: ReadCompacted
    read_range: ReadRange
    follow: Callable[[str], Follower]
    models: ModelFactory
    open_budget: OpenBudget
    recorded: RecordedAnswers | None = None


def build(settings: Settings) -> Service:
    """Build the service on real clients.

    Raises:
        ConfigurationError: Contracts, topics, schemas, agents, tools, prices or credentials are missing or wrong.
        UnavailableError: Broker, registry or an MCP server does not answer.
    """
    check_role(settings)
    contracts = load_contracts(settings)
    topics = find_topics(settings, contracts)
    existing = KafkaAdmin(settings.kafka).topics()
    check_topics(topics, existing)
    check_profiles(topics, contracts.topic(settings.output_topic), existing)
    registry = ConfluentRegistry(settings.registry)
    bedrock: dict[str, object] = {"max_connections": max(settings.bedrock.max_connections, settings.max_in_flight)}
    if not topics.answers_kept:
        bedrock["api_key"] = SecretStr("recorded")  # nobody needs to have credentials, and nobody is asked with them
    # The producer comes first: taking over the transactional id settles what the last holder left open.
    clients = Clients(
        transactions=KafkaTransactionalProducer(settings.kafka, transactional_id=transactional_id(settings)),
        consumer=KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance),
        producer=KafkaProducer(settings.kafka),
        registry=registry,
        read_compacted=partial(read_compacted, settings.kafka, timeout_s=PROGRESS_TIMEOUT_S),
        read_range=partial(read_range, settings.kafka, timeout_s=PROGRESS_TIMEOUT_S),
        follow=partial(KafkaFollower, settings.kafka),
        models=ModelFactory(settings.bedrock.model_copy(update=bedrock)),
        open_budget=_budget(settings, contracts, existing, registry),
        recorded=_recorded(settings, contracts, topics, existing, registry),
    )
    return assemble(settings, contracts, topics, clients)


def assemble(settings: Settings, contracts: Contracts, topics: Topics, clients: Clients) -> Service:
    """Wire the service over any clients; raises as ``build``."""
    metrics = Metrics()
    prices = load_prices(settings.prices_file)
    budget = clients.open_budget(metrics=metrics)
    purse = ShadowPurse(budget.purse) if settings.role == "shadow" else budget.purse
    calls = create_calls(settings, clients.models, prices, purse, metrics)
    thread = LoopThread("model")
    external = open_tools(settings.mcp, thread, metrics)
    routing = _routing(settings, topics, calls, external)
    results = clients.recorded or _results(contracts, topics, clients, routing)
    calls.record_in(results)
    assembly = StageAssembly(settings, contracts, topics, clients.registry, routing, results, clients.recorded, metrics)
    stages = assembly.stages(clients.transactions)
    forgetting, namespaces = Forgetting(), [f"{settings.group_id}/{decider.name}" for decider in routing.deciders]
    asked = profiled(
        ModelThread(stages.ask, partial(_close, external, clients.models), thread),
        topics.profiles,
        contracts=contracts,
        registry=clients.registry,
        follow=clients.follow,
        capacity=settings.profile_keys,
        metrics=metrics,
    )
    dispatcher = Dispatcher(
        consumer=clients.consumer,
        intake=stages.intake,
        judge=stages.judge,
        model=asked.model,
        enrichment=stages.enrichment,
        dead_letters=stages.dead_letters,
        outbox=stages.outbox,
        progress_log=_progress_log(settings, contracts, topics, clients),
        results=results,
        memories=_memories(settings, contracts, topics, clients, routing),
        forgetting=forgetting,
        beside=asked.beside,
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
        ready=lambda: dispatcher.why_not_ready() or budget.why_not_ready(),
        info=lambda: _info(settings, routing, calls.routes),
        close=budget.close,
        routers=[
            model_router(calls.routes),
            forget_router(forgetting, topics.source.topic, namespaces),
            *budget.routers,
        ],
    )


def _budget(
    settings: Settings, contracts: Contracts, existing: Mapping[str, TopicInfo], registry: SchemaRegistry
) -> OpenBudget:
    if settings.role == "replay":
        purse = FixedPurse(settings.replay.most_microdollars or 0)
        return lambda *, metrics: Budget(purse)  # noqa: ARG005 (OpenBudget)
    ledger = ledger_contract(contracts, settings.budget_topic)
    check_ledger(ledger, existing)
    return partial(
        open_budget,
        settings.budget,
        replica=settings.instance,
        kafka=settings.kafka,
        registry=registry,
        contract=ledger,
        record=contracts.record(ledger.record),
        propose=settings.role == "decide",
    )


def _recorded(
    settings: Settings,
    contracts: Contracts,
    topics: Topics,
    existing: Mapping[str, TopicInfo],
    registry: SchemaRegistry,
) -> RecordedAnswers | None:
    if topics.answers_kept:
        return None
    topic = topics.results.topic
    answers = RecordedAnswers(Decoder(registry, contracts.record(topics.results.record)), settings.state_dir)
    partitions = [TopicPartition(topic, number) for number in range(existing[topic].partitions)]
    answers.load(partial(read_range, settings.kafka, timeout_s=RECORDED_TIMEOUT_S), partitions)
    return answers


def _encoder(contracts: Contracts, topic: TopicContract, registry: SchemaRegistry) -> Encoder:
    return Encoder(registry, topic.subject, contracts.record(topic.record))


def _routing(settings: Settings, topics: Topics, calls: Calls, external: OpenTools) -> Routing:
    def decider(name: str, place: int) -> Decider:
        model = GatewayModel(calls=calls)
        agent = load_agent(name, model, model_id=settings.models.primary.id, tools=external.tools)
        return Decider(agent, place)

    check_table(settings.agents, topics.source)
    deciders = {name: decider(name, place) for place, name in enumerate(settings.agents)}
    by_type = {kind: deciders[name] for name, kinds in settings.agents.items() for kind in kinds}
    canary, tried = None, settings.canary
    if tried is not None:
        check_canary(tried, settings.agents)
        canary = Canary(decider(tried.agent, len(deciders)), deciders[tried.of], tried.percent)
    return Routing(by_type, topics.source.fields.type, canary)


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
    # Recorded answers come as fast as they can be decided from, and none is to be late.
    deadline_s = settings.event_deadline_s if topics.answers_kept else UNHURRIED_S
    return Limits(
        event_deadline_s=deadline_s,
        commit_interval_s=settings.commit_interval_ms / 1000,
        triage_batch=settings.triage_batch,
        max_at_model=settings.max_at_model,
        max_backlog=settings.max_backlog,
        max_wait_s=deadline_s + READY_WAIT_S,
        max_output_bytes=topics.output.max_message_bytes - ENVELOPE_BYTES,
    )


async def _close(external: OpenTools, models: ModelFactory) -> None:
    await external.aclose()
    await models.aclose()


def _info(settings: Settings, routing: Routing, routes: Routes) -> dict[str, object]:
    return {
        "role": settings.role,
        "canary": settings.canary and settings.canary.model_dump(),
        "agents": {
            decider.name: {"version": decider.version, "event_types": routing.types_of(decider)}
            for decider in routing.deciders
        },
        "models": {name: endpoint and endpoint.id for name, endpoint in routes.table.named().items()},
    }
