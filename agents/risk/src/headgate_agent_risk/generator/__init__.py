"""Labelled synthetic traffic for the agent's events; plugs into the producer (group ``headgate.generators``)."""

from headgate_agent_risk.generator.traffic import LABELS, NORMAL, generate, generate_visits

__all__ = ["LABELS", "NORMAL", "generate", "generate_visits"]
