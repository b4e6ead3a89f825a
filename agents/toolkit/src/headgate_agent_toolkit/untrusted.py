"""Free text from outside: cleaned, masked and capped before it enters a prompt or a record."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LONG_NUMBER = re.compile(r"\+?\d(?:[ ().-]{0,2}\d){7,}")
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|rule|polic|above|previous|prior|guideline)"
    r"|\b(?:system|developer|assistant)\s*(?:prompt|message|override|note)\b|\byou are now\b|\bact as\b"
    r"|\bnew instructions?\b|\brecord_(?:decision|intent)\b|\brisk_score\b|\brisk score\b"
    r"|\b(?:answer|respond|reply|return|output|decide|decision|set|mark|classify)\b.{0,40}\b(?:allow|allowed|safe|approved?|legitimate|low risk)\b"
    r"|</?\s*(?:event|system|instructions?)\b|\[/?INST\]|<\|",
    re.IGNORECASE | re.DOTALL,
)
_WHOLE_WORD_BELOW = 4


def clean(text: str) -> str:
    """Fold compatibility characters, drop control, format and unassigned ones, and join the rest with single spaces."""
    if text.isascii() and text.isprintable():  # most texts: nothing to fold or to drop
        return " ".join(text.split())
    folded = unicodedata.normalize("NFKC", text)
    return " ".join("".join(char for char in folded if char.isprintable() or char.isspace()).split())


def mask(text: str, identifiers: Iterable[str]) -> str:
    """Replace an event's personal data, mail addresses and long numbers in cleaned text.

    A very short identifier is replaced as a whole word in its own case only: taken out of the middle of words, or
    where a country's code is a common word as well, it would leave no text.
    """
    for identifier in identifiers:
        folded = clean(identifier)
        if not folded or not _may_hold(text, folded):
            continue
        pattern = re.escape(folded)
        if len(folded) < _WHOLE_WORD_BELOW:
            text = re.sub(rf"(?<!\w){pattern}(?!\w)", "[id]", text)
        else:
            text = re.sub(pattern, "[id]", text, flags=re.IGNORECASE)
    return _LONG_NUMBER.sub("[number]", _EMAIL.sub("[mail]", text))


def _may_hold(text: str, identifier: str) -> bool:
    """Rule out, at a hundredth of a new pattern's cost, that a text holds an identifier in any case."""
    return not (text.isascii() and identifier.isascii()) or identifier.lower() in text.lower()


def instructs(text: str) -> bool:
    """Tell whether text reads like an instruction to its reader; a hint for the rules, not a defence by itself."""
    return _INSTRUCTION.search(clean(text)) is not None
