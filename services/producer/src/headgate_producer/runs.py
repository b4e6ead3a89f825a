"""One run of the command line: where events come from, where they go, what is left beside them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headgate_runtime.avro import Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.tracing import spans_exported
from headgate_schemas import Contracts, field_getter

from headgate_producer.candidates import Candidate, merge
from headgate_producer.files import Layout, RowFile
from headgate_producer.generate import generate, load_generator
from headgate_producer.mapping import load_mapping
from headgate_producer.pace import Pace
from headgate_producer.replay import replay, replay_events
from headgate_producer.rowmapper import RowMapper
from headgate_producer.sending import create_sending
from headgate_producer.sidefiles import json_lines
from headgate_producer.transmission import Summary, Transmission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import TopicContract

    from headgate_producer.config import Settings

_FLUSH_GRACE_S: Final = 5.0  # past the client's own delivery time-out, so that each event's outcome is known
_COLLECT_EVERY: Final = 100_000


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A file to replay.

    Attributes:
        path: The file.
        mapping: Name or path of its mapping; None for JSON lines that already are events.
        span_s: Takes the place of the mapping's ``span_s``.
    """

    path: Path
    mapping: str | None
    span_s: float | None = None


@dataclass(frozen=True, slots=True)
class GeneratePlan:
    """Traffic to generate; ``span_s`` is how many seconds before now it begins."""

    generator: str
    events: int
    seed: int
    span_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What to send, how fast, and where the side files go.

    Attributes:
        plans: Sources, merged by time.
        now_ms: What "now" is; the same value gives the same events.
        rate: Events a second, None for as fast as it goes.
        limit: Events taken in all.
        rejects: File of what was refused or not delivered.
        labels: File of the labels.
    """

    plans: tuple[ReplayPlan | GeneratePlan, ...]
    now_ms: int
    rate: float | None
    limit: int | None
    rejects: Path
    labels: Path


@dataclass(frozen=True, slots=True)
class Connection:
    """What a run sends with."""

    registry: SchemaRegistry
    producer: RecordProducer


Connect = Callable[["Settings"], AbstractContextManager[Connection]]


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """Connect to the registry and the brokers the settings name, and to the endpoint for spans where there is one."""
    with spans_exported(settings.tracing, service="producer", instance=settings.instance):
        producer = KafkaProducer(settings.kafka, properties=settings.producer_properties())
        try:
            yield Connection(ConfluentRegistry(settings.registry), producer)
        finally:
            producer.close()


def execute(
    run: Run, settings: Settings, *, on_progress: Callable[[Summary], None] = lambda _: None, connect: Connect = connect
) -> Summary:
    """Send everything a run names.

    Raises:
        ValueError: A file, a mapping or a contract is wrong; the text says what to do.
        HeadgateError: The registry is away or lacks the schema, or no such generator is installed.
    """
    contracts = Contracts.load(settings.contracts_dir)
    topic = contracts.topic(settings.topic)
    sources = _sources(run, contracts, topic)
    with connect(settings) as connection, json_lines(run.rejects) as rejects, json_lines(run.labels) as labels:
        record = contracts.record(topic.record)
        encoder = Encoder(connection.registry, topic.subject, record)
        preparation, producer = create_sending(topic, record, encoder, connection.producer, settings.tracing)
        transmission = Transmission(
            preparation,
            producer,
            pace=Pace(run.rate, clock=time.monotonic),
            rejects=rejects,
            labels=labels,
            clock=time.monotonic,
            sleep=time.sleep,
        )
        with _rare_collections():
            return transmission.run(
                merge(sources, run.limit),
                flush_timeout_s=settings.delivery_timeout_s + _FLUSH_GRACE_S,
                on_progress=on_progress,
            )


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage in cycles seldom: a run makes none, and each search walks the file's rows held for sorting."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _sources(run: Run, contracts: Contracts, topic: TopicContract) -> list[Iterable[Candidate]]:
    replays = [_replay(plan, run, contracts, topic) for plan in run.plans if isinstance(plan, ReplayPlan)]
    plans = [plan for plan in run.plans if isinstance(plan, GeneratePlan)]
    if not replays or not plans:
        return [*replays, *(_generate(plan, run, topic, None) for plan in plans)]
    # What is generated beside a file happens to those the file is about, so all of the file has to be known first.
    replayed = [list(candidates) for candidates in replays]
    keys = _keys(replayed, topic)
    return [*replayed, *(_generate(plan, run, topic, keys) for plan in plans)]


def _keys(replayed: Iterable[Iterable[Candidate]], topic: TopicContract) -> list[str] | None:
    """The record keys of all candidates, each once, in order; None where the topic has no key or no candidate one."""
    if topic.fields.key is None:
        return None
    key_of = field_getter(topic.fields.key)
    found = (key_of(each.event) for candidates in replayed for each in candidates if each.event is not None)
    return list(dict.fromkeys(key for key in found if isinstance(key, str))) or None


def _generate(plan: GeneratePlan, run: Run, topic: TopicContract, keys: list[str] | None) -> Iterable[Candidate]:
    return generate(
        load_generator(plan.generator),
        topic,
        name=plan.generator,
        seed=plan.seed,
        events=plan.events,
        start_ms=run.now_ms - round(plan.span_s * 1000),
        end_ms=run.now_ms,
        keys=keys,
    )


def _replay(plan: ReplayPlan, run: Run, contracts: Contracts, topic: TopicContract) -> Iterable[Candidate]:
    if plan.mapping is None:
        return replay_events(RowFile(plan.path, Layout(format="json_lines")), topic)
    spec = load_mapping(plan.mapping, contracts.directory / "mappings")
    file = RowFile(plan.path, spec.source)
    mapper = RowMapper(spec, file, topic, contracts.record(topic.record))
    moved = spec.time if plan.span_s is None else spec.time.over(plan.span_s)
    return replay(file, mapper, moved, now_ms=run.now_ms, limit=_rows(run))


def _rows(run: Run) -> int | None:
    """How many rows of a file a limited run can take beside what is generated, so that its last row is the run's end."""
    if run.limit is None:
        return None
    generated = sum(plan.events for plan in run.plans if isinstance(plan, GeneratePlan))
    return max(run.limit - generated, 0)
