"""Policies: local answers for one tool each, offered by other packages under ``headgate.local_policies``.

A package may offer a preparation of the same name under ``headgate.local_preparations``: it says which other tools of
the request the model calls before it answers. Once it wants no more, the policy gets what they said as ``tool_results``.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_bedrock_local.requests import Conversation

    Policy = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
    Preparation = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]

GROUP = "headgate.local_policies"
PREPARATIONS = "headgate.local_preparations"
TOOL_RESULTS = "tool_results"

# The end carries what the start carries, so that a payload cannot close its own fence; a plain end is taken as well.
_TAGGED = re.compile(r"<event\b([^>]*)>(.*?)</event\1>", re.DOTALL)
_PLAIN = re.compile(r"<event\b[^>]*>(.*)</event\b[^>]*>", re.DOTALL)


class PolicyError(Exception):
    """A policy that is installed cannot be used; the text says which and why."""


def load_policies() -> dict[str, Policy]:
    """Import every policy installed, by the name of the tool it answers for: ``(event, schema) -> arguments``.

    Raises:
        PolicyError: A policy does not import, or two packages answer for one tool.
    """
    return _load(GROUP, "policy")


def load_preparations() -> dict[str, Preparation]:
    """Import every preparation installed, by the name of the tool it prepares: ``(event, results) -> {tool: arguments}``.

    Raises:
        PolicyError: A preparation does not import, or two packages prepare one tool.
    """
    return _load(PREPARATIONS, "preparation")


def _load(group: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        if entry.name in found:
            raise PolicyError(f"Two packages offer a local {kind} for {entry.name!r}: uninstall one of them.")
        try:
            found[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            raise PolicyError(f"The local {kind} {entry.name!r} ({entry.value}) does not load: {error}") from error
    return found


def tool_results(conversation: Conversation, *, but: str) -> dict[str, Any]:
    """What tools but one answered so far, by their name: JSON as such, other text as it is, None for an error."""
    names: dict[str, str] = {}
    results: dict[str, Any] = {}
    for message in conversation.messages:
        for block in message.content:
            if (called := block.get("toolUse")) is not None:
                names[called["toolUseId"]] = called.get("name", "")
            elif (answered := block.get("toolResult")) is not None:
                results[names.get(answered["toolUseId"], "")] = _result(answered)
    results.pop(but, None)
    return results


def _result(answered: Mapping[str, Any]) -> Any:
    if answered.get("status") == "error":
        return None
    for part in answered.get("content", ()):
        if "json" in part:
            return part["json"]
        try:
            return orjson.loads(part.get("text", ""))
        except orjson.JSONDecodeError:
            return part.get("text", "")
    return None


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
