"""Agents at work, as few as a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_enricher.judge import Judge
from headgate_enricher.routing import ANY, Decider, Routing

if TYPE_CHECKING:
    from headgate_schemas.agent import Agent


def sole(agent: Agent) -> Routing:
    """One agent for everything."""
    return Routing({ANY: Decider(agent, 0)})


def judge_of(routing: Routing) -> Judge:
    return Judge(routing.deciders)
