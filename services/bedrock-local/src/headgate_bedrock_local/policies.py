"""Policies: local answers for one tool each, offered by other packages under ``headgate.local_policies``."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_bedrock_local.requests import Conversation

    Policy = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]

GROUP = "headgate.local_policies"

# The end carries what the start carries, so that a payload cannot close its own fence; a plain end is taken as well.
_TAGGED = re.compile(r"<event\b([^>]*)>(.*?)</event\1>", re.DOTALL)
_PLAIN = re.compile(r"<event\b[^>]*>(.*)</event\b[^>]*>", re.DOTALL)


class PolicyError(Exception):
    """A policy that is installed cannot be used; the text says which and why."""


def load_policies() -> dict[str, Policy]:
    """Import every policy installed, by the name of the tool it answers for.

    Raises:
        PolicyError: A policy does not import, or two packages answer for one tool.
    """
    policies: dict[str, Policy] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in policies:
            raise PolicyError(f"Two packages offer a local policy for {entry.name!r}: uninstall one of them.")
        try:
            policies[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            raise PolicyError(f"The local policy {entry.name!r} ({entry.value}) does not load: {error}") from error
    return policies


def fenced_event(conversation: Conversation) -> Mapping[str, Any] | None:
    """The JSON object fenced by ``<event ...>`` in the latest user text that has one, None where there is none."""
    for message in reversed(conversation.messages):
        if message.role != "user":
            continue
        for block in reversed(message.content):
            event = _event_in(block.get("text", ""))
            if event is not None:
                return event
    return None


def _event_in(text: str) -> Mapping[str, Any] | None:
    if "<event" not in text:
        return None
    tagged = _TAGGED.search(text)
    plain = None if tagged else _PLAIN.search(text)
    inside = tagged.group(2) if tagged else plain.group(1) if plain else ""
    try:
        event = orjson.loads(inside)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
