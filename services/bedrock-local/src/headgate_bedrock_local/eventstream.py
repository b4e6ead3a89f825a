"""Frames of ``application/vnd.amazon.eventstream``, and a Converse answer cut into them."""

from __future__ import annotations

import struct
from binascii import crc32
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_TYPE = b"application/vnd.amazon.eventstream"

_HEADER_IS_STRING = 7
_LENGTHS_AND_CRCS = 16
_CHARACTERS_A_DELTA = 24


def frame(event_type: str, payload: Mapping[str, Any]) -> bytes:
    """Encode one event: total and header length, CRC of both, headers, payload, CRC of everything."""
    return _frame(_headers("event", event_type), payload)


def exception_frame(name: str, message: str) -> bytes:
    """Encode the exception a stream ends in, by its name in the service model's stream."""
    return _frame(_headers("exception", name), {"message": message})


def garbled(frames: bytes) -> bytes:
    """The frames with a last byte, one of a checksum, that is wrong."""
    return frames[:-1] + bytes([frames[-1] ^ 0xFF])


def frames(answer: Mapping[str, Any]) -> list[bytes]:
    """Cut a Converse answer (output, stopReason, usage, metrics, perhaps trace) into the events of ConverseStream."""
    message = answer["output"]["message"]
    cut = [frame("messageStart", {"role": message["role"]})]
    for index, block in enumerate(message["content"]):
        cut += _block_frames(index, block)
    cut.append(frame("messageStop", {"stopReason": answer["stopReason"]}))
    cut.append(frame("metadata", {name: answer[name] for name in ("usage", "metrics", "trace") if name in answer}))
    return cut


def _block_frames(index: int, block: Mapping[str, Any]) -> Iterator[bytes]:
    used = block.get("toolUse")
    if used:
        start = {"toolUse": {"toolUseId": used["toolUseId"], "name": used["name"]}}
        yield frame("contentBlockStart", {"start": start, "contentBlockIndex": index})
        text = orjson.dumps(used["input"]).decode()
    else:
        text = block["text"]
    for offset in range(0, len(text), _CHARACTERS_A_DELTA):
        piece = text[offset : offset + _CHARACTERS_A_DELTA]
        delta = {"toolUse": {"input": piece}} if used else {"text": piece}
        yield frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})
    yield frame("contentBlockStop", {"contentBlockIndex": index})


def _frame(headers: bytes, payload: Mapping[str, Any]) -> bytes:
    body = orjson.dumps(payload)
    prelude = struct.pack(">II", _LENGTHS_AND_CRCS + len(headers) + len(body), len(headers))
    message = b"".join((prelude, struct.pack(">I", crc32(prelude)), headers, body))
    return message + struct.pack(">I", crc32(message))


@lru_cache
def _headers(kind: str, name: str) -> bytes:
    return b"".join(
        _header(*header)
        for header in (
            (f":{kind}-type", name),
            (":content-type", "application/json"),
            (":message-type", kind),
        )
    )


def _header(name: str, value: str) -> bytes:
    return struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _HEADER_IS_STRING, len(value)) + value.encode()
