"""What a record says of its decision, checked and written; once for the many events that get the very same one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from fastavro import parse_schema, schemaless_writer
from headgate_schemas import compile_rules

from headgate_enricher.gateway.spending import NOTHING_SPENT
from headgate_enricher.own_fields import OwnFields
from headgate_enricher.way import AGENT_METADATA
from headgate_enricher.work import AgentFaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import RecordSchema, Rule, TopicContract
    from headgate_schemas.agent import Decision

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.routing import Decider

MOST_KEPT = 4096
_UNWRITABLE = (TypeError, ValueError, AttributeError, KeyError, OverflowError)


class Decided(NamedTuple):
    """A record's ``agent_metadata``.

    Attributes:
        value: As a dict; nobody changes it.
        written: As Avro.
    """

    value: Mapping[str, Any]
    written: bytes


class AgentMetadata:
    """Makes the ``agent_metadata`` of decisions.

    Most events are decided by rules and nothing stood out about them: what is written of them is the same each time.

    Args:
        record: The output record.
        contract: The output topic, whose rules about the decision are checked.
    """

    def __init__(self, record: RecordSchema, contract: TopicContract) -> None:
        self._schema = parse_schema(record.field_type(AGENT_METADATA))
        self._check = compile_rules(contract, only=is_about_decision)
        self._own_fields = OwnFields(record, AGENT_METADATA)
        self._kept: dict[tuple[Decider, Decision], Decided] = {}

    def of(self, decider: Decider, decision: Decision, spent: Spent) -> Decided:
        """Make it of a decision.

        Args:
            decider: Who decided.
            decision: The decision.
            spent: Which model was asked, and what its answers cost.

        Raises:
            AgentFaultError: The decision does not fit the output's contract.
        """
        if decision.evidence or spent is not NOTHING_SPENT:
            return self._made(decider, decision, spent)
        key = (decider, decision)
        try:
            found = self._kept.get(key)
        except TypeError:  # an agent's decision may hold anything
            return self._made(decider, decision, spent)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._made(decider, decision, spent)
        return found

    def _made(self, decider: Decider, decision: Decision, spent: Spent) -> Decided:
        try:
            value = self._value(decider, decision, spent)
            buffer = io.BytesIO()
            schemaless_writer(buffer, self._schema, value)
        except _UNWRITABLE as error:
            raise AgentFaultError(f"The decision cannot be written: {type(error).__name__}; mend the agent.") from error
        violation = self._check({AGENT_METADATA: value})
        if violation is not None:
            raise AgentFaultError(f"{violation.message}; mend the agent.", violation.field, violation.rule)
        return Decided(value, buffer.getvalue())

    def _value(self, decider: Decider, decision: Decision, spent: Spent) -> dict[str, Any]:
        usage = spent.usage
        metadata = {
            "decision": decision.decision,
            "decision_reason": decision.decision_reason,
            "risk_score": decision.risk_score,
            "priority": decision.priority,
            "confidence": decision.confidence,
            "agent": decider.name,
            "agent_version": decider.version,
            "revision": 0,
            "tier": decision.tier,
            "model_id": spent.model_id,
            "prompt_hash": decision.prompt_hash,
            "model_calls": spent.calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_microdollars": spent.cost_microdollars,
            "fallback_reason": decision.fallback_reason,
            "evidence": [
                {"source": found.source, "name": found.name, "value": found.value} for found in decision.evidence
            ],
        }
        if decision.fields:
            self._own_fields.add(decision.fields, metadata)
        return metadata


def is_about_decision(rule: Rule) -> bool:
    """Whether a rule of the output topic looks at nothing but the decision."""
    fields = [rule.field, *([rule.when.field] if rule.when else [])]
    return all(field.startswith(f"{AGENT_METADATA}.") for field in fields)
