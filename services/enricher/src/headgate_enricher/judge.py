"""The agent's CPU-only half, on the loop's thread: triage of micro-batches and the fallback, faults kept to their event."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.logs import without_text
from headgate_runtime.tracing import identity
from headgate_schemas.agent import Agent, Decision, GreyCase

from headgate_enricher.work import AgentFaultError, Answer, Triaged, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = structlog.get_logger(__name__)


class Judge:
    """Calls the agent and answers for what it raises.

    Args:
        agent: The agent.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def triage(self, works: Sequence[Work]) -> None:
        """Triage a micro-batch; where that raises, each event alone, so that only the one at fault is dead-lettered.

        Each event finds what is remembered of its key as the events before it left it, decided already or not: the
        memory follows the order of arrival.
        """
        faults = self._remember(works)
        try:
            results: Sequence[Triaged] = self._triage(works)
        except Exception as error:  # noqa: BLE001 - the agent's code may raise anything
            fields = without_text(error)
            logger.warning("triage of a batch failed, repeating it event by event", events=len(works), **fields)
            results = [self._triage_alone(work) for work in works]
        for work, result in zip(works, results, strict=True):
            work.triaged = _checked(result)
        for work, fault in faults:
            work.triaged = fault

    def conclude(self, case: GreyCase, answer: Answer) -> Decision:
        """Turn the model's answer into a decision: its own, or the fallback's, which names the prompt all the same.

        Raises:
            AgentFaultError: The fallback failed.
        """
        if answer.decision is not None:
            return answer.decision
        decision = self.fall_back(case, answer.reason or "unknown")
        if answer.prompt_hash is None:
            return decision
        return dataclasses.replace(decision, prompt_hash=answer.prompt_hash)

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        """Decide without a model.

        Raises:
            AgentFaultError: The fallback failed.
        """
        try:
            return self._agent.fall_back(case, reason)
        except Exception as error:
            logger.error("the agent's fallback failed", reason=reason, **without_text(error))  # noqa: TRY400 - see there
            raise AgentFaultError(f"The agent's fallback raised {type(error).__name__}; mend the agent.") from error

    def _remember(self, works: Sequence[Work]) -> list[tuple[Work, AgentFaultError]]:
        """Advance the memory of each event's key; an event the agent cannot remember is at fault and changes nothing."""
        faults: list[tuple[Work, AgentFaultError]] = []
        remember = self._agent.remember
        for work in works:
            key = work.record.key
            if key is None:
                continue
            memories = work.partition.memories
            work.memory = work.remembered = before = memories.get(key)
            try:
                work.remembered = remember(before, work.event)
            except Exception as error:  # noqa: BLE001 - the agent's code may raise anything
                fields = without_text(error) | identity(work.record.headers)
                logger.error("the agent cannot remember an event", **fields)  # noqa: TRY400 - see without_text
                fault = AgentFaultError(f"The agent's memory raised {type(error).__name__}; mend the agent.")
                faults.append((work, fault))
            if work.remembered is not before:
                memories.put(key, work.remembered)
        return faults

    def _triage(self, works: Sequence[Work]) -> Sequence[Decision | GreyCase]:
        results = self._agent.triage([work.event for work in works], [work.memory for work in works])
        if len(results) != len(works):
            raise AgentFaultError(f"Triage gave {len(results)} results for {len(works)} events; mend the agent.")
        return results

    def _triage_alone(self, work: Work) -> Triaged:
        try:
            return self._triage([work])[0]
        except AgentFaultError as fault:
            return fault
        except Exception as error:  # noqa: BLE001 - the batch's failure is logged with its traceback already
            return AgentFaultError(f"The agent's triage raised {type(error).__name__}; mend the agent.")


def _checked(result: object) -> Triaged:
    if isinstance(result, Decision | GreyCase | AgentFaultError):
        return result
    return AgentFaultError(f"The agent's triage returned {type(result).__name__}; mend the agent.")
