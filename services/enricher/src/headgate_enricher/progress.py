"""How far a partition is when its records finish out of order: a watermark and the offsets done above it."""

from __future__ import annotations

import zlib
from typing import NamedTuple


class Mark(NamedTuple):
    """A partition's progress as it goes into a commit.

    Attributes:
        watermark: Every record below this offset is done; the group's next offset.
        done: Offsets above the watermark that are done, as :func:`encode_done` writes them.
        answers_from: First offset in the results topic that may hold an answer to a record not done; None: not known.
    """

    watermark: int
    done: bytes
    answers_from: int | None = None


START = Mark(0, b"")


def encode_done(bits: int) -> bytes:
    """Compress a bitmap whose bit i stands for watermark + i; empty where no bit is set."""
    if not bits:
        return b""
    return zlib.compress(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), 1)


def decode_done(done: bytes) -> int:
    """Read what :func:`encode_done` wrote.

    Raises:
        ValueError: The bytes are not a compressed bitmap.
    """
    if not done:
        return 0
    try:
        return int.from_bytes(zlib.decompress(done), "little")
    except zlib.error as error:
        raise ValueError(f"not a compressed bitmap: {error}") from error


class PartitionProgress:
    """The progress of one assigned partition.

    Offsets have gaps (transaction markers, aborted and compacted records), so nothing here counts: the watermark is
    the lowest consumed offset that is not done, and where all are done, the position behind the last consumed one.

    Args:
        mark: What the last owner committed.

    Attributes:
        changed: Something was done since the owner of this object last set it to False.

    Raises:
        ValueError: The mark's done-set cannot be read.
    """

    __slots__ = ("_bits", "_origin", "_pending", "_position", "changed")

    def __init__(self, mark: Mark = START) -> None:
        bits = decode_done(mark.done)
        self._bits = bytearray(bits.to_bytes((bits.bit_length() + 7) // 8, "little"))
        self._origin = mark.watermark
        self._position = mark.watermark
        self._pending: dict[int, None] = {}
        self.changed = False

    @property
    def pending(self) -> int:
        """Records admitted and not done."""
        return len(self._pending)

    def admit(self, offset: int) -> bool:
        """Take up the record at an offset; False if it is done, or admitted, already."""
        if offset < self._position:
            return False
        self._position = offset + 1
        if not self._pending and offset - self._origin >= 8 * len(self._bits):
            # Nothing below matters any more; a jump (retention, a first read) must not grow the bitmap.
            self._bits.clear()
            self._origin = offset
        if self._is_done(offset):
            self.changed = True
            return False
        self._pending[offset] = None
        return True

    def is_open(self, offset: int) -> bool:
        """Whether the record at an offset is yet to be done: consumed and pending, or still to come."""
        return offset in self._pending or (offset >= self._position and not self._is_done(offset))

    def complete(self, offset: int) -> None:
        """An admitted record's output, or dead letter, is part of the next commit."""
        del self._pending[offset]
        index = offset - self._origin
        byte = index >> 3
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        self._bits[byte] |= 1 << (index & 7)
        self.changed = True

    def mark(self) -> Mark:
        """The progress to commit now."""
        watermark = next(iter(self._pending), self._position)
        self._trim(watermark)
        bits = int.from_bytes(self._bits, "little") >> (watermark - self._origin)
        return Mark(watermark, encode_done(bits))

    def _is_done(self, offset: int) -> bool:
        index = offset - self._origin
        byte = index >> 3
        return byte < len(self._bits) and bool(self._bits[byte] >> (index & 7) & 1)

    def _trim(self, watermark: int) -> None:
        whole = (watermark - self._origin) >> 3
        del self._bits[:whole]
        self._origin += whole << 3
