"""Short hashes by which an account's device or country is known again, without giving it back."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

_HASHES = 16_384


@lru_cache(maxsize=_HASHES)
def mark(account: str, value: str) -> int:
    """A short hash by which an account's device or country is known again: 32 bits, salted with the account."""
    text = f"{account}\0{value}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big")
