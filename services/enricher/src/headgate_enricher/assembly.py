"""Wires the parts an event passes through, by the enricher's role."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.outbox import Outbox
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_schemas import compile_rules, field_getter

from headgate_enricher.canary import CanaryIntake
from headgate_enricher.deliberation import Deliberation, consumed
from headgate_enricher.enrichment import Enrichment
from headgate_enricher.gateway.errors import reason_of
from headgate_enricher.intake import DecidedIntake, Intake, RoutedIntake
from headgate_enricher.judge import Judge
from headgate_enricher.replay.deliberation import RecordedDeliberation, recorded
from headgate_enricher.replay.enrichment import ReplayedEnrichment
from headgate_enricher.review_requests import ReviewRequests
from headgate_enricher.shadow.divergence import Divergences
from headgate_enricher.shadow.metrics import ShadowMetrics
from headgate_enricher.stages import Stages
from headgate_enricher.tracing.assembly import traced_stages

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import TransactionalProducer
    from headgate_runtime.metrics import Metrics
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, TopicContract

    from headgate_enricher.config import Settings
    from headgate_enricher.gateway.protocols import Recordings
    from headgate_enricher.model_thread import Ask
    from headgate_enricher.replay.answers import RecordedAnswers
    from headgate_enricher.routing import Routing
    from headgate_enricher.stages import Accepting, Enriching
    from headgate_enricher.topics import Topics

SERVICE = "enricher"
READY_SHARE = 2  # one in so many of the calls that may run waits with its prompt ready
PIPELINE_VERSION = version("headgate-enricher")


@dataclass(frozen=True, slots=True)
class StageAssembly:
    """Makes the stages.

    Attributes:
        settings: Settings of the enricher.
        contracts: The contracts.
        topics: Those of the topics that are used.
        registry: Where their schemas are.
        routing: The agents.
        recordings: Answers that were kept.
        answers: The same where a replay's models are recordings; None elsewhere.
        metrics: Metrics of the service.
    """

    settings: Settings
    contracts: Contracts
    topics: Topics
    registry: SchemaRegistry
    routing: Routing
    recordings: Recordings
    answers: RecordedAnswers | None
    metrics: Metrics

    def stages(self, transactions: TransactionalProducer) -> Stages:
        """Make the stages; raises ConfigurationError and UnavailableError as ``app.build``."""
        letters = self.topics.dead_letters
        stages = Stages(
            intake=self._intake(),
            judge=Judge(self.routing.deciders),
            ask=self._ask(),
            enrichment=self._enriching(),
            dead_letters=DeadLetters(
                self._encoder(letters),
                letters.topic,
                SERVICE,
                max_bytes=letters.max_message_bytes - ENVELOPE_BYTES,
            ),
            outbox=Outbox(transactions),
        )
        if self.settings.tracing.endpoint is None:
            return stages
        return traced_stages(stages, transactions, group=self.settings.group_id)

    def _encoder(self, topic: TopicContract) -> Encoder:
        return Encoder(self.registry, topic.subject, self.contracts.record(topic.record))

    def _intake(self) -> Accepting:
        source, routing = self.topics.source, self.routing
        plain = Intake(Decoder(self.registry, self.contracts.record(source.record)), compile_rules(source))
        if self.settings.role == "decide":
            intake: Accepting = RoutedIntake(plain, routing)
        else:
            intake = DecidedIntake(plain, routing, self.settings.replay.ends)
        return intake if routing.canary is None else CanaryIntake(intake, routing.canary)

    def _ask(self) -> Ask:
        tenant = self.topics.source.fields.tenant
        deliberation = Deliberation(
            tenant=field_getter(tenant) if tenant else None,
            most=self.settings.max_in_flight + -(-self.settings.max_in_flight // READY_SHARE),
            reason_of=reason_of,
            origin_of=consumed if self.answers is None else recorded,
            find=self.recordings.find,
        )
        if self.answers is None:
            return deliberation.ask
        return RecordedDeliberation(deliberation.ask, self.answers).ask

    def _enriching(self) -> Enriching:
        match self.settings.role:
            case "decide":
                return self._enrichment()
            case "shadow":
                return self._divergences()
            case "replay":
                return ReplayedEnrichment(self._enrichment())

    def _enrichment(self) -> Enrichment:
        source, output = self.topics.source, self.topics.output
        event_id = output.fields.event_id
        return Enrichment(
            contract=output,
            read_as=self.contracts.record(source.record),
            write_as=self.contracts.record(output.record),
            encoder=self._encoder(output),
            same_frame=self._encoder(source).prefix,
            event_id=field_getter(event_id) if event_id else None,
            pipeline_version=PIPELINE_VERSION,
            requests=self._requests(),
        )

    def _requests(self) -> ReviewRequests:
        reviews = self.topics.reviews
        return ReviewRequests(
            topic=reviews.topic,
            decided=self.contracts.record(self.topics.output.record),
            asked=self.contracts.record(reviews.record),
            prefix=self._encoder(reviews).prefix,
            check=compile_rules(reviews),
        )

    def _divergences(self) -> Divergences:
        output = self.topics.output
        return Divergences(
            output,
            decided=self.contracts.record(self.topics.source.record),
            written=self.contracts.record(output.record),
            encoder=self._encoder(output),
            check=compile_rules(output),
            pipeline_version=PIPELINE_VERSION,
            metrics=ShadowMetrics(self.metrics),
        )
