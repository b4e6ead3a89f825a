"""Personal data in text, found by the contract's tags: what the event says of the person is masked wherever it recurs."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from headgate_schemas import Contracts, texts_getter

from headgate_agent_toolkit.untrusted import mask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headgate_schemas.agent import Event

TOPIC = "raw-events"
_PLACE = "payload.attributes."


class Masker:
    """Masks the values of an event's tagged fields, and what looks like an identifier of any kind.

    Args:
        pii: Class of personal data by field path, as the record's schema tags it.
        texts: Attributes whose text may enter a prompt; masked itself, such a text is no identifier.

    Raises:
        ValueError: A field that identifies a person directly is to enter prompts.
    """

    def __init__(self, pii: Mapping[str, str], texts: Collection[str]) -> None:
        free = {_PLACE + name for name in texts}
        if direct := sorted(path for path in free if pii.get(path) == "direct"):
            raise ValueError(f"prompt_text_chars: {', '.join(direct)} is tagged as direct personal data; take it out")
        self._texts = tuple(texts_getter(path) for path in sorted(pii.keys() - free))

    def __call__(self, text: str, event: Event) -> str:
        """Mask cleaned text that is about an event."""
        return mask(text, [value for texts in self._texts for value in texts(event) if value])


@cache
def tagged_fields() -> Mapping[str, str]:
    """Class of personal data by field path of the events that agents decide on, as their contract says.

    Raises:
        ContractError: The contracts cannot be read.
    """
    contracts = Contracts.load()
    return MappingProxyType(dict(contracts.record(contracts.topic(TOPIC).record).pii))
