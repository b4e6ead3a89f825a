"""Answers by the exact request: the same question of the same tenant to the same model is not paid for twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson
from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from headgate_enricher.bedrock.request import ConverseRequest
    from headgate_enricher.gateway.protocols import RecordedAnswer

_KEPT = ("content", "additional_kwargs", "tool_calls", "invalid_tool_calls", "usage_metadata")
_NOT_KEPT = frozenset({"ResponseMetadata", "metrics"})  # how one HTTP exchange went
_WHOLE = frozenset({"end_turn", "tool_use"})


def request_key(tenant: str, request: ConverseRequest) -> bytes:
    """Digest of a request as it would be sent, model and tools included, and of who asks."""
    digest = hashlib.sha256(orjson.dumps([tenant, request.model_id]))
    digest.update(request.body)
    return digest.digest()


def pack(message: AIMessage) -> bytes:
    """A message as JSON, without what belongs to its HTTP exchange."""
    fields: dict[str, Any] = {name: getattr(message, name) for name in _KEPT}
    metadata = message.response_metadata
    fields["response_metadata"] = {name: value for name, value in metadata.items() if name not in _NOT_KEPT}
    return orjson.dumps(fields)


def unpack(packed: bytes) -> AIMessage:
    """The message; each call makes a new one, since whoever gets it may change it.

    Raises:
        ValueError: It was not written by ``pack``.
    """
    return AIMessage(**orjson.loads(packed))


def worth_keeping(message: AIMessage) -> bool:
    """Whether the model finished what it had to say: a filtered or truncated answer is not given to a second event."""
    return message.response_metadata.get("stopReason") in _WHOLE


class AnswerCache:
    """The most recently used answers.

    Args:
        most: How many are kept; 0 keeps none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, RecordedAnswer] = OrderedDict()

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._answers)

    def find(self, key: bytes) -> RecordedAnswer | None:
        """The answer to a request, if it is still there."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def store(self, key: bytes, answer: RecordedAnswer) -> None:
        """Keep an answer, in the place of the one that was not used for longest."""
        self._answers[key] = answer
        self._answers.move_to_end(key)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
