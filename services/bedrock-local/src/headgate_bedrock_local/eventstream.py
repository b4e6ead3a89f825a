"""Frames of ``application/vnd.amazon.eventstream``, and a Converse answer cut into them."""

from __future__ import annotations

import struct
from binascii import crc32
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_HEADER_IS_STRING = 7
_LENGTHS_AND_CRCS = 16
_CHARACTERS_A_DELTA = 24


def frame(event_type: str, payload: Mapping[str, Any]) -> bytes:
    """Encode one event: total and header length, CRC of both, headers, payload, CRC of everything."""
    body = orjson.dumps(payload)
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":event-type", event_type),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    prelude = struct.pack(">II", _LENGTHS_AND_CRCS + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return message + struct.pack(">I", crc32(message))


def frames(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """Cut a Converse answer (output, stopReason, usage, metrics) into the events of ConverseStream."""
    message = answer["output"]["message"]
    yield frame("messageStart", {"role": message["role"]})
    for index, block in enumerate(message["content"]):
        yield from _block_frames(index, block)
    yield frame("messageStop", {"stopReason": answer["stopReason"]})
    yield frame("metadata", {"usage": answer["usage"], "metrics": answer["metrics"]})


def _block_frames(index: int, block: Mapping[str, Any]) -> Iterator[bytes]:
    tool_use = block.get("toolUse")
    if tool_use:
        start = {"toolUse": {"toolUseId": tool_use["toolUseId"], "name": tool_use["name"]}}
        yield frame("contentBlockStart", {"start": start, "contentBlockIndex": index})
        text = orjson.dumps(tool_use["input"]).decode()
    else:
        text = block["text"]
    for offset in range(0, len(text), _CHARACTERS_A_DELTA):
        piece = text[offset : offset + _CHARACTERS_A_DELTA]
        delta = {"toolUse": {"input": piece}} if tool_use else {"text": piece}
        yield frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})
    yield frame("contentBlockStop", {"contentBlockIndex": index})


def _header(name: str, value: str) -> bytes:
    return struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _HEADER_IS_STRING, len(value)) + value.encode()
