"""The commands of ``headgate review``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.avro import Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import Output, reporting, table_of
from headgate_admin.reading import newest
from headgate_admin.reviews.answer import Answer, deliver, outcome_records
from headgate_admin.reviews.display import COLUMNS, lines, row, summary, without_personal
from headgate_admin.reviews.queue import ReviewQueue, load_queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.registry import SchemaRegistry

    from headgate_admin.config import AdminSettings
    from headgate_admin.reading import ReadNewest

app = typer.Typer(
    help="Decisions that a person should see: look, approve, override. Nothing waits for the person.",
    no_args_is_help=True,
)

Events = Annotated[list[str], typer.Argument(help="Event ids, as `list` shows them.")]
Comment = Annotated[str, typer.Option(help="Why; becomes the later record's reason. Name nobody.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides [HEADGATE_ADMIN_REVIEWER].")]
Again = Annotated[bool, typer.Option("--again", help="Also what is answered: another revision follows.")]
Newest = Annotated[int, typer.Option(min=1, help="Reviews looked at in each partition, the newest.")]


@dataclass(frozen=True, slots=True)
class Connections:
    """What the commands talk to."""

    registry: SchemaRegistry
    read: ReadNewest
    producer: RecordProducer


def connect(settings: AdminSettings) -> Connections:
    """Connections to the addresses of the settings."""
    return Connections(ConfluentRegistry(settings.registry), newest(settings.kafka), KafkaProducer(settings.kafka))


@app.command("list")
def list_reviews(
    *,
    reason: Annotated[str | None, typer.Option(help="Only those asked for this reason, such as uncertain.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Reviews shown, the oldest first.")] = 50,
    newest: Newest = 10_000,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """List what waits for a person."""
    with reporting(as_json=json) as output:
        settings = load_settings(bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts)
        queue = _Desk(settings, output).queue(newest)
        pending = queue.pending(reason)
        shown = [summary(review) for review in pending[:limit]]
        document = {"pending": len(pending), "answered": len(queue.answered), "reviews": shown}
        told = f"{len(pending)} wait for a person" + (f", {len(shown)} shown" if len(shown) < len(pending) else "")
        output.result(document, told, table_of(COLUMNS, map(row, shown)))


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="Event id, as `list` shows it.")],
    *,
    personal: Annotated[bool, typer.Option("--personal", help="Also what names a person.")] = False,
    newest: Newest = 10_000,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Show the event, the decision and what it rests on."""
    with reporting(as_json=json) as output:
        settings = load_settings(bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts)
        desk = _Desk(settings, output)
        queue = desk.queue(newest)
        (review,) = queue.find([event], again=True)
        value = dict(review.value) if personal else without_personal(review.value, desk.pii)
        answered = "answered" if event in queue.answered else "waits for a person"
        output.result({"review": value, "state": answered}, answered, table_of(("field", "value"), lines(value)))


@app.command()
def approve(
    events: Events,
    *,
    comment: Comment,
    reviewer: Reviewer = None,
    again: Again = False,
    newest: Newest = 10_000,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Let decisions stand: each gets a later record that says a person agreed."""
    with reporting(as_json=json) as output:
        settings = load_settings(
            bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts, reviewer=reviewer
        )
        answer = Answer(_person(settings), comment)
        _Desk(settings, output).answer(events, answer, again=again, newest=newest)


@app.command()
def override(
    events: Events,
    *,
    decision: Annotated[str, typer.Option(help="The decision from now on.")],
    comment: Comment,
    priority: Annotated[str | None, typer.Option(help="low, medium or high; it stays as it is without.")] = None,
    reviewer: Reviewer = None,
    again: Again = False,
    newest: Newest = 10_000,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Decide otherwise: each event gets a later record with the person's decision."""
    with reporting(as_json=json) as output:
        settings = load_settings(
            bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts, reviewer=reviewer
        )
        answer = Answer(_person(settings), comment, decision, priority)
        _Desk(settings, output).answer(events, answer, again=again, newest=newest)


class _Desk:
    """Where a person reviews: the topics and schemas of the settings."""

    def __init__(self, settings: AdminSettings, output: Output) -> None:
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        self._settings = settings
        self._output = output
        self._contracts = Contracts.load(settings.contracts_dir)
        self._connections = connect(settings)

    @property
    def pii(self) -> dict[str, str]:
        """Class of personal data by field path of a review."""
        return dict(self._contracts.record(self._contracts.topic(self._settings.reviews_topic).record).pii)

    def queue(self, newest: int) -> ReviewQueue:
        """What is asked and what is answered."""
        queue = load_queue(
            self._contracts,
            self._connections.registry,
            self._connections.read,
            reviews=self._settings.reviews_topic,
            outcomes=self._settings.outcomes_topic,
            count=newest,
        )
        if queue.unreadable:
            self._output.note(f"{queue.unreadable} records cannot be read, and are left out")
        return queue

    def answer(self, events: Sequence[str], answer: Answer, *, again: bool, newest: int) -> None:
        """Answer reviews, all or none, and print what was done."""
        topic = self._contracts.topic(self._settings.outcomes_topic)
        reviews = self.queue(newest).find(events, again=again)
        encoder = Encoder(self._connections.registry, topic.subject, self._contracts.record(topic.record))
        now_ms = time.time_ns() // 1_000_000
        deliver(outcome_records(reviews, answer, topic, encoder, now_ms=now_ms), self._connections.producer)
        done = [{"event_id": review.event_id, **answer.outcome_of(review, now_ms=now_ms)} for review in reviews]
        rows = [(each["event_id"], each["action"], each["decision"]) for each in done]
        table = table_of(("event", "action", "decision"), rows)
        self._output.result({"answered": done}, f"{len(done)} answered by {answer.reviewer}", table)


def _person(settings: AdminSettings) -> str:
    if settings.reviewer is None:
        raise ConfigurationError("Say who decides: --reviewer, or HEADGATE_ADMIN_REVIEWER.")
    return settings.reviewer
