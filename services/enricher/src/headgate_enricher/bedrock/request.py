"""A Converse request as it is sent, and the part of it that is the same in every call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from botocore.serialize import create_serializer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import ServiceModel

OPERATION: Final = "Converse"
PROTOCOL: Final = "rest-json"
_CHARACTERS_A_TOKEN = 4
_PLACEHOLDER: Final = [{"role": "user", "content": [{"text": "?"}]}]


@dataclass(frozen=True, slots=True)
class ConverseRequest:
    """One request, written.

    Attributes:
        parameters: Parameters of Converse it shares with others: all but the messages and the system text.
        path: Path of the URL, escaped as it is signed and sent.
        headers: Headers of the protocol.
        body: The body; JSON.
    """

    parameters: Mapping[str, Any]
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def model_id(self) -> str:
        """The model it goes to."""
        return str(self.parameters["modelId"])

    @property
    def max_tokens(self) -> int:
        """The longest answer it asks for, in tokens."""
        return int(self.parameters["inferenceConfig"]["maxTokens"])


@dataclass(frozen=True, slots=True)
class Frame:
    """What the requests of one binding share: everything but the messages and the system text.

    Attributes:
        parameters: Parameters of Converse, ``modelId`` among them.
        path: Path of the URL.
        headers: Headers of the protocol.
        fragments: The parameters of the body, each as JSON.
        tools_bytes: Size of the tools as JSON.
    """

    parameters: Mapping[str, Any]
    path: str
    headers: Mapping[str, str]
    fragments: Mapping[str, orjson.Fragment]
    tools_bytes: int

    def static_tokens(self, system: list[dict[str, Any]]) -> int:
        """Tokens of the part of a prompt that is the same in every call, guessed on the low side."""
        return (sum(len(block.get("text", "")) for block in system) + self.tools_bytes) // _CHARACTERS_A_TOKEN


class RequestWriter:
    """Writes requests; botocore checks and writes what they share, once.

    Args:
        service_model: botocore's model of ``bedrock-runtime``.
    """

    def __init__(self, service_model: ServiceModel) -> None:
        self._operation = service_model.operation_model(OPERATION)
        self._serializer = create_serializer(PROTOCOL)

    def frame(self, parameters: Mapping[str, Any]) -> Frame:
        """Check and write what requests share.

        Args:
            parameters: Parameters of Converse without ``messages`` and ``system``.

        Raises:
            ParamValidationError: They are not what Converse takes.
        """
        wire = self._write({**parameters, "messages": _PLACEHOLDER})
        shared = orjson.loads(wire["body"])
        del shared["messages"]
        fragments = {name: orjson.Fragment(orjson.dumps(value)) for name, value in shared.items()}
        tools_bytes = len(orjson.dumps(shared.get("toolConfig")))
        return Frame(parameters, wire["url_path"], dict(wire["headers"]), fragments, tools_bytes)

    def request(self, frame: Frame, turns: list[dict[str, Any]], system: list[dict[str, Any]]) -> ConverseRequest:
        """Write a request.

        Raises:
            ParamValidationError: The messages hold more than JSON, and are not what Converse takes.
        """
        try:
            body = orjson.dumps({"messages": turns, "system": system, **frame.fragments})
        except TypeError:  # blobs, or text that is not valid Unicode
            body = self._write({**frame.parameters, "messages": turns, "system": system})["body"]
        return ConverseRequest(frame.parameters, frame.path, frame.headers, body)

    def _write(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        wire: dict[str, Any] = self._serializer.serialize_to_request(dict(parameters), self._operation)
        return wire
