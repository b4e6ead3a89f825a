"""The agents' CPU-only half, on the loop's thread: triage of micro-batches and fallbacks, faults kept to their event."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.logs import without_text
from headgate_runtime.tracing import identity
from headgate_schemas.agent import Decision, GreyCase

from headgate_enricher.work import AgentFaultError, Answer, Triaged, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headgate_schemas.agent import Agent

    from headgate_enricher.routing import Decider

_RESULTS = frozenset({Decision, GreyCase, AgentFaultError})  # by exact class: what nearly every result is, cheaply

logger = structlog.get_logger(__name__)


class Judge:
    """Calls the agents and answers for what they raise.

    Args:
        deciders: Every agent once.
    """

    def __init__(self, deciders: Sequence[Decider]) -> None:
        self._deciders = tuple(deciders)

    def triage(self, works: Sequence[Work]) -> None:
        """Triage a micro-batch, each agent's part of it at once; where that raises, each event alone.

        So only the event at fault is dead-lettered. Each event finds what is remembered of its key as the events
        before it left it, decided already or not: the memory follows the order of arrival. Every agent remembers every
        event, whoever decides on it.
        """
        faults = [fault for decider in self._deciders for fault in _remember(decider, works)]
        for decider, part in self._parts(works):
            _triage_part(decider.agent, part)
        for work, fault in faults:
            work.triaged = fault

    def conclude(self, work: Work, case: GreyCase, answer: Answer) -> Decision:
        """Turn the model's answer into a decision: its own, or the fallback's, which names the prompt all the same.

        Raises:
            AgentFaultError: The fallback failed.
        """
        if answer.decision is not None:
            return answer.decision
        decision = _fall_back(work.decider.agent, case, answer.reason or "unknown")
        if answer.prompt_hash is None:
            return decision
        return dataclasses.replace(decision, prompt_hash=answer.prompt_hash)

    def _parts(self, works: Sequence[Work]) -> Iterable[tuple[Decider, Sequence[Work]]]:
        if len(self._deciders) == 1:
            return [(self._deciders[0], works)]
        parts: dict[Decider, list[Work]] = {}
        for work in works:
            parts.setdefault(work.decider, []).append(work)
        return parts.items()


def _remember(decider: Decider, works: Sequence[Work]) -> list[tuple[Work, AgentFaultError]]:
    """Advance an agent's memory of each event's key; an event the agent cannot remember changes nothing.

    Returns:
        The events that are at fault for it: those the agent decides on itself.
    """
    faults: list[tuple[Work, AgentFaultError]] = []
    remember, place = decider.agent.remember, decider.place
    for work in works:
        key = work.record.key
        if key is None:
            continue
        memories = work.partition.memories[place]
        before = memories.get(key)
        if work.decider is decider:
            work.memory = before
        try:
            after = remember(before, work.event)
        except Exception as error:  # noqa: BLE001 - the agent's code may raise anything
            fields = without_text(error) | identity(work.record.headers)
            logger.error("an agent cannot remember an event", agent=decider.name, **fields)  # noqa: TRY400 - see without_text
            if work.decider is decider:
                fault = AgentFaultError(f"The agent's memory raised {type(error).__name__}; mend the agent.")
                faults.append((work, fault))
            continue
        if after is not before:
            memories.put(key, after)
            work.changes += ((memories, key, after),)
    return faults


def _triage_part(agent: Agent, works: Sequence[Work]) -> None:
    try:
        results: Sequence[Triaged] = _triage(agent, works)
    except Exception as error:  # noqa: BLE001 - the agent's code may raise anything
        fields = {"agent": agent.name, "events": len(works), **without_text(error)}
        logger.warning("triage of a batch failed, repeating it event by event", **fields)
        results = [_triage_alone(agent, work) for work in works]
    for work, result in zip(works, results, strict=True):
        work.triaged = result if result.__class__ in _RESULTS else _checked(result)


def _triage(agent: Agent, works: Sequence[Work]) -> Sequence[Decision | GreyCase]:
    results = agent.triage([work.event for work in works], [work.memory for work in works])
    if len(results) != len(works):
        raise AgentFaultError(f"Triage gave {len(results)} results for {len(works)} events; mend the agent.")
    return results


def _triage_alone(agent: Agent, work: Work) -> Triaged:
    try:
        return _triage(agent, [work])[0]
    except AgentFaultError as fault:
        return fault
    except Exception as error:  # noqa: BLE001 - the batch's failure is logged with its traceback already
        return AgentFaultError(f"The agent's triage raised {type(error).__name__}; mend the agent.")


def _checked(result: object) -> Triaged:
    if isinstance(result, Decision | GreyCase | AgentFaultError):
        return result
    return AgentFaultError(f"The agent's triage returned {type(result).__name__}; mend the agent.")


def _fall_back(agent: Agent, case: GreyCase, reason: str) -> Decision:
    try:
        return agent.fall_back(case, reason)
    except Exception as error:
        fields = {"agent": agent.name, "reason": reason, **without_text(error)}
        logger.error("an agent's fallback failed", **fields)  # noqa: TRY400 - see without_text
        raise AgentFaultError(f"The agent's fallback raised {type(error).__name__}; mend the agent.") from error
