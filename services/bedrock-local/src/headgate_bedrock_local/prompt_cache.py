"""Prompt caching at cachePoints: which part of a prompt is read from the cache, and which is written to it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from headgate_bedrock_local.models import cache_minimum
from headgate_bedrock_local.tokens import block_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TTL_S = {"5m": 300.0, "1h": 3_600.0}
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one prompt that the cache served or took in; they are not counted as input tokens."""

    read: int = 0
    written: int = 0
    ttl: str = "5m"


class PromptCache:
    """Prefixes seen at cachePoints, each until its time to live has passed since it was last used."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._expiry_s: dict[bytes, float] = {}

    def use(self, model_id: str, blocks: Sequence[Mapping[str, Any]]) -> CacheUse:
        """Look the prompt's prefixes up and store those that are long enough for the model."""
        if not any("cachePoint" in block for block in blocks):
            return CacheUse()
        now_s = self._clock()
        read = cached = 0
        ttl = "5m"
        for prefix, tokens, point_ttl in _prefixes(model_id, blocks):
            if tokens < cache_minimum(model_id):
                continue
            if self._expiry_s.get(prefix, now_s) > now_s:
                read = tokens
            cached, ttl = tokens, point_ttl
            self._expiry_s[prefix] = now_s + _TTL_S[ttl]
        self._prune(now_s)
        return CacheUse(read=read, written=cached - read, ttl=ttl)

    def clear(self) -> None:
        """Forget everything."""
        self._expiry_s.clear()

    def _prune(self, now_s: float) -> None:
        if len(self._expiry_s) > _MOST_ENTRIES:
            self._expiry_s = {prefix: at_s for prefix, at_s in self._expiry_s.items() if at_s > now_s}
        while len(self._expiry_s) > _MOST_ENTRIES:
            self._expiry_s.pop(next(iter(self._expiry_s)))


def _prefixes(model_id: str, blocks: Sequence[Mapping[str, Any]]) -> list[tuple[bytes, int, str]]:
    """Digest, length in tokens and time to live of the prefix that each cachePoint closes."""
    digest = blake2b(model_id.encode(), digest_size=16)
    tokens = 0
    found = []
    for block in blocks:
        point = block.get("cachePoint")
        if point is None:
            digest.update(orjson.dumps(block))
            tokens += block_tokens(block)
        else:
            ttl = point.get("ttl", "5m") if isinstance(point, dict) else "5m"
            found.append((digest.copy().digest(), tokens, ttl if ttl in _TTL_S else "5m"))
    return found
