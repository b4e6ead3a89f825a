"""Holds what was sent on the wire against botocore's model of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from botocore.eventstream import EventStreamBuffer

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}


def problems(value: Any, shape: Shape, at: str = "$") -> list[str]:
    """Where a JSON value is not what a shape says: unknown or missing members, wrong types, values of no enum."""
    if getattr(shape, "is_document_type", False):
        return []
    kind = shape.type_name
    if not isinstance(value, JSON_TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{at}: {value!r} is no {kind}"]
    if kind == "structure":
        return _structure_problems(value, shape, at)
    if kind == "list":
        return [each for number, item in enumerate(value) for each in problems(item, shape.member, f"{at}[{number}]")]
    if kind == "map":
        return [each for key, item in value.items() for each in problems(item, shape.value, f"{at}.{key}")]
    allowed = getattr(shape, "enum", [])
    return [f"{at}: {value!r} is none of {allowed}"] if allowed and value not in allowed else []


def _structure_problems(value: dict[str, Any], shape: Shape, at: str) -> list[str]:
    found = [f"{at}.{name} is not known" for name in value.keys() - shape.members.keys()]
    found += [f"{at}.{name} is missing" for name in shape.required_members if name not in value]
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        found.append(f"{at} has not exactly one of its members: {sorted(value)}")
    known = ((name, item) for name, item in value.items() if name in shape.members)
    return found + [each for name, item in known for each in problems(item, shape.members[name], f"{at}.{name}")]


class Sniffer:
    """What a client got, before botocore left aside what its model does not know."""

    def __init__(self, client: Any) -> None:
        self.seen: list[tuple[OperationModel, dict[str, Any]]] = []
        client.meta.events.register("before-parse.bedrock-runtime", self._keep)

    def _keep(self, operation_model: OperationModel, response_dict: dict[str, Any], **_: Any) -> None:
        self.seen.append((operation_model, response_dict))

    def problems(self) -> list[str]:
        """Problems of all answers so far; a stream's are found by :func:`stream_problems`."""
        return [
            each
            for operation, answer in self.seen
            if not operation.has_event_stream_output
            for each in problems(json.loads(answer["body"]), operation.output_shape)
        ]


def read_stream(url: str, body: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Headers and payload of each frame of a ConverseStream; botocore's buffer checks lengths and checksums."""
    answer = httpx.post(url, json=body, headers={"authorization": "Bearer x"})
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    frames = EventStreamBuffer()
    frames.add_data(answer.content)
    return [(frame.headers, json.loads(frame.payload)) for frame in frames]


def stream_problems(frames: list[tuple[dict[str, Any], dict[str, Any]]], operation: OperationModel) -> list[str]:
    """Where frames are not what the operation's stream says."""
    events = operation.output_shape.members["stream"].members
    found = []
    for headers, payload in frames:
        name = headers.get(":event-type") or headers[":exception-type"]
        found += problems(payload, events[name], name) if name in events else [f"{name} is not known"]
    return found
