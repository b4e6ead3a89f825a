"""Parts of an Avro datum as bytes, for the records that are written once a window and key.

fastavro writes any record; written by hand, these two take a fifth of its time, which is most of what a window costs. A
test holds them against fastavro byte for byte.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MORE: Final = 0x80
_LOW: Final = 0x7F
_SMALL: Final = 1_024
_END: Final = b"\x00"
_double: Final = struct.Struct("<d").pack


def _long(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    written = bytearray()
    while rest > _LOW:
        written.append(rest & _LOW | _MORE)
        rest >>= 7
    written.append(rest)
    return bytes(written)


_SMALL_LONGS: Final = tuple(map(_long, range(_SMALL)))
_cached_long: Final = lru_cache(4_096)(_long)  # instants: many keys have the same windows


def long_bytes(value: int) -> bytes:
    """A long."""
    return _SMALL_LONGS[value] if 0 <= value < _SMALL else _cached_long(value)


def bytes_bytes(value: bytes) -> bytes:
    """Bytes, or a text's UTF-8."""
    return long_bytes(len(value)) + value


@lru_cache(4_096)
def text_bytes(value: str) -> bytes:
    """A text of which there are few different ones."""
    return bytes_bytes(value.encode())


def map_bytes(values: Mapping[str, Any], write: Callable[[Any], bytes]) -> bytes:
    """A map."""
    if not values:
        return _END
    parts = [long_bytes(len(values))]
    for name, value in values.items():
        parts += (text_bytes(name), write(value))
    parts.append(_END)
    return b"".join(parts)


def double_bytes(value: float) -> bytes:
    """A double."""
    return _double(value)


def decimal_bytes(units: int) -> bytes:
    """The digits of a decimal: a whole number in two's complement, the highest byte first."""
    size = (units + (units < 0)).bit_length() // 8 + 1
    return _SMALL_LONGS[size] + units.to_bytes(size, "big", signed=True)


def texts_bytes(values: list[str]) -> bytes:
    """An array of texts."""
    if not values:
        return _END
    return b"".join([long_bytes(len(values)), *map(text_bytes, values), _END])
