"""An event in a prompt: typed features and masked texts, inside a fence that no text can close."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from headgate_agent_toolkit.untrusted import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_schemas.agent import Event

    from headgate_agent_toolkit.masking import Masker

NameT = TypeVar("NameT", bound=str)

_QUERY = re.compile(r"[?#]")


def fence(content: object, seed: str, element: str = "event") -> str:
    """Write text from outside as JSON inside an element that carries a nonce.

    The nonce follows from the content and the seed, so that the same content gives the same prompt, whose answer may be
    there already. That it could be guessed does no harm: no ``<`` or ``>`` of the content is left to close the fence with.

    Args:
        content: JSON.
        seed: What else the nonce depends on, such as the agent's version.
        element: Name of the element.
    """
    body = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    body = body.replace("<", "\\u003c").replace(">", "\\u003e")
    nonce = hashlib.sha256(f"{seed}/{body}".encode(errors="replace")).hexdigest()[:16]
    return f'<{element} nonce="{nonce}">{body}</{element} nonce="{nonce}">'


def texts(event: Event, longest: Mapping[NameT, int], masker: Masker) -> dict[str, str]:
    """An event's free texts as they may enter a prompt: cleaned, masked and cut; a page without its query.

    Args:
        event: The event.
        longest: Longest text in characters, by attribute; others do not enter.
        masker: Masks personal data.
    """
    attributes: Mapping[str, Any] = event["payload"]["attributes"]
    found: dict[str, str] = {}
    for name, most in longest.items():
        value = attributes.get(name)
        if value:
            text = masker(clean(value), event)
            found[name] = (_QUERY.split(text, maxsplit=1)[0] if name == "page" else text)[:most]
    return found


def prompt_hash(parts: Sequence[str]) -> str:
    """SHA-256 of a prompt's parts in order, hexadecimal."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
