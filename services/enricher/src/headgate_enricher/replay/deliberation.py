"""Deliberation with what the models did the first time, be it an answer or none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from headgate_runtime.records import TopicPartition
from headgate_schemas.agent import Usage

from headgate_enricher.deliberation import Origin
from headgate_enricher.gateway.spending import Spent
from headgate_enricher.replay.answers import NotRecordedError
from headgate_enricher.way import AGENT_METADATA, PROCESSING_METADATA
from headgate_enricher.work import Answer, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas.agent import GreyCase

    from headgate_enricher.model_thread import Ask
    from headgate_enricher.replay.answers import RecordedAnswers


def recorded(work: Work) -> Origin:
    """Where the event came from the first time, and which version of the agent asked about it.

    Another agent's answers are none to this one; those to another version of it are the nearest there is.
    """
    decided, way, decider = work.event[AGENT_METADATA], work.event[PROCESSING_METADATA], work.decider
    version = decided["agent_version"] if decided["agent"] == decider.name else decider.version
    return Origin(TopicPartition(way["source_topic"], way["source_partition"]), way["source_offset"], version)


class RecordedDeliberation:
    """Lets an agent deliberate with recorded answers, and fail where it failed.

    An event that got no answer that could be used gets none again: its fallback has the reason and the price it had. An
    event that was decided by answers of which one is missing now falls back as ``not_recorded``.

    Args:
        ask: Deliberates, with ``answers`` instead of models and ``recorded`` as their origin.
        answers: The recorded answers.
    """

    def __init__(self, ask: Ask, answers: RecordedAnswers) -> None:
        self._ask = ask
        self._answers = answers

    async def ask(self, work: Work, case: GreyCase) -> Answer:
        """Deliberate on one event; see ``Deliberation.ask``."""
        decided = work.event[AGENT_METADATA]
        fell_back = decided["agent"] == work.decider.name and decided["fallback_reason"] is not None
        if fell_back and decided["prompt_hash"] is None:  # answers of no use are what names a prompt
            return _as_it_was(decided, 0.0)
        source, offset, _ = recorded(work)
        answer = await self._ask(work, case)
        if self._answers.missed(source, offset) and answer.decision is None:
            if fell_back:
                return _as_it_was(decided, answer.seconds)
            return Answer(None, NotRecordedError.reason, answer.seconds, answer.spent)
        # Attempts that were cut off left no answer, and are in the record all the same.
        unanswered = max(0, decided["model_calls"] - answer.spent.usage.calls)
        return dataclasses.replace(answer, spent=dataclasses.replace(answer.spent, unanswered=unanswered))


def _as_it_was(decided: Mapping[str, Any], seconds: float) -> Answer:
    usage = Usage(decided["model_calls"], decided["input_tokens"], decided["output_tokens"])
    spent = Spent(decided["model_id"], usage, decided["cost_microdollars"])
    return Answer(None, decided["fallback_reason"], seconds, spent, decided["prompt_hash"])
