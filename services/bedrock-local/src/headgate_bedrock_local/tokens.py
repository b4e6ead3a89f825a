"""Token counts: four characters a token, rounded up. No model's tokenizer, and stable for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHARACTERS_A_TOKEN = 4


def text_tokens(text: str) -> int:
    """Tokens of a text; an empty one has none."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def block_tokens(block: Mapping[str, Any]) -> int:
    """Tokens of a content, system or tool block; a cachePoint is free."""
    text = block.get("text")
    if isinstance(text, str):
        return text_tokens(text)
    if "cachePoint" in block:
        return 0
    return -(-len(orjson.dumps(block)) // CHARACTERS_A_TOKEN)


def blocks_tokens(blocks: Iterable[Mapping[str, Any]]) -> int:
    """Tokens of several blocks."""
    return sum(block_tokens(block) for block in blocks)
