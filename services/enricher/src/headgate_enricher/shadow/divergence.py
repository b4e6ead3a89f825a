"""The shadow's output: its decision beside the one that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.records import OutgoingRecord
from headgate_schemas import field_getter

from headgate_enricher.enrichment import PASSED_HEADERS
from headgate_enricher.way import AGENT_METADATA, PROCESSING_METADATA, processing_metadata
from headgate_enricher.work import AgentFaultError

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema, TopicContract
    from headgate_schemas.agent import Decision

    from headgate_enricher.enrichment import ValueEncoder
    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.intake import Check
    from headgate_enricher.shadow.metrics import ShadowMetrics
    from headgate_enricher.work import Work

_OWN = ("holding", "shadow", "diverged", "risk_score_difference", PROCESSING_METADATA)


class Divergences:
    """Builds ``decision_divergence`` records of decided events; implements ``stages.Enriching``.

    What the record has before its own fields is copied from the event, by name. It is keyed by a field of its own, not
    by the event's key, which would say whom it is about.

    Args:
        topic: Contract of the topic it goes to; names the field that is the key.
        decided: The record of decided events.
        written: The record of divergences.
        encoder: Encodes it.
        check: Rules of its topic.
        pipeline_version: Version of the enricher.
        metrics: Metrics.

    Raises:
        ConfigurationError: The record has no place for the two decisions, or a field that decided events have not.
    """

    def __init__(
        self,
        topic: TopicContract,
        *,
        decided: RecordSchema,
        written: RecordSchema,
        encoder: ValueEncoder,
        check: Check,
        pipeline_version: str,
        metrics: ShadowMetrics,
    ) -> None:
        fields = [field["name"] for field in written.raw["fields"]]
        known = {field["name"] for field in decided.raw["fields"]}
        self._copied = [name for name in fields if name not in _OWN]
        missing = sorted({*_OWN} - {*fields} | {*self._copied} - known)
        if missing or topic.fields.key is None:
            raise ConfigurationError(
                f"Record {written.name} of topic {topic.topic} must have the fields {', '.join(_OWN)}, besides them only "
                f"fields of {decided.name}, and a key (at fault: {', '.join(missing) or 'fields.key'})."
            )
        self._topic = topic.topic
        self._key = field_getter(topic.fields.key)
        self._holding = [field["name"] for field in written.field_type(_OWN[0])["fields"]]
        self._encoder = encoder
        self._check = check
        self._pipeline_version = pipeline_version
        self._metrics = metrics

    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        """Build the record of a comparison.

        Args:
            work: The decided event, the record it came in, and the shadow agent.
            decision: The shadow's decision.
            spent: Which model was asked, and what its answers cost.
            now_ms: When the shadow decided, milliseconds since the epoch.

        Raises:
            AgentFaultError: The decision does not fit the contract.
        """
        event = work.event
        holding = {name: event[AGENT_METADATA][name] for name in self._holding}
        diverged = decision.decision != holding["decision"]
        try:
            value = {
                **{name: event[name] for name in self._copied},
                "holding": holding,
                "shadow": _verdict(work, decision, spent),
                "diverged": diverged,
                "risk_score_difference": decision.risk_score - holding["risk_score"],
                PROCESSING_METADATA: processing_metadata(work.record, now_ms, self._pipeline_version),
            }
            encoded = self._encoder.encode(value)
        except (RejectedError, TypeError) as error:
            raise AgentFaultError(f"{error}; mend the agent.") from error
        violation = self._check(value)
        if violation is not None:
            raise AgentFaultError(f"{violation.message}; mend the agent.", violation.field, violation.rule)
        self._metrics.compared(work.decider.name, holding["decision"], decision.decision)
        headers = tuple(header for header in work.record.headers if header[0] in PASSED_HEADERS)
        return OutgoingRecord(self._topic, str(self._key(value)).encode(), encoded, headers)

    def ask(self, output: OutgoingRecord, reason: str, *, now_ms: int) -> None:
        """Ask nobody: the decision does not hold."""


def _verdict(work: Work, decision: Decision, spent: Spent) -> dict[str, Any]:
    return {
        "agent": work.decider.name,
        "agent_version": work.decider.version,
        "decision": decision.decision,
        "risk_score": decision.risk_score,
        "priority": decision.priority,
        "confidence": decision.confidence,
        "tier": decision.tier,
        "model_id": spent.model_id,
        "cost_microdollars": spent.cost_microdollars,
        "fallback_reason": decision.fallback_reason,
    }
