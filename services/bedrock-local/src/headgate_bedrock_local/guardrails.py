"""Guardrails that block words: ApplyGuardrail, and a guardrail before and after a model."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson
from pydantic import Field, ValidationError

from headgate_bedrock_local.tool_config import Block, Wire
from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headgate_bedrock_local.requests import ConverseRequest, GuardrailConfig

BLOCKED = "This content is blocked by the guardrail."

_CHARACTERS_A_UNIT = 1_000
_KEPT = 64
_UNITS = ("topic", "content", "word", "sensitiveInformation", "contextualGrounding")


class Blocked(NamedTuple):
    """What a guardrail found.

    Attributes:
        stage: ``input`` before the model, ``output`` after it.
        words: The words, as they stand in the text, each once.
    """

    stage: Literal["input", "output"]
    words: tuple[str, ...]

    def trace(self, config: GuardrailConfig) -> dict[str, Any]:
        """The trace of a Converse answer."""
        found = assessment(self.words)
        name = config.guardrail_identifier
        assessed = (
            {"inputAssessment": {name: found}} if self.stage == "input" else {"outputAssessments": {name: [found]}}
        )
        return {"guardrail": {**assessed, "actionReason": "Guardrail blocked."}}


class _Text(Wire):
    text: str


class _Content(Wire):
    text: _Text | None = None
    image: Block | None = None


class _ApplyGuardrail(Wire):
    source: Literal["INPUT", "OUTPUT"]
    content: list[_Content] = Field(min_length=1)


def blocked_words(words: tuple[str, ...], texts: Iterable[str]) -> tuple[str, ...]:
    """The words found in the texts, as they stand there, each once."""
    if not words:
        return ()
    pattern = _pattern(words)
    return tuple(dict.fromkeys(found for text in texts for found in pattern.findall(text)))


@lru_cache(maxsize=_KEPT)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def guarded_texts(request: ConverseRequest) -> list[str]:
    """What a guardrail reads of a conversation: guardContent where there is any, else the texts of all messages.

    Calls of tools and what they answer are never looked at (user guide, guardrails with Converse).
    """
    blocks = [*request.system, *(block for message in request.messages for block in message.content)]
    marked = [block["guardContent"].get("text", {}).get("text", "") for block in blocks if "guardContent" in block]
    return marked or [block["text"] for message in request.messages for block in message.content if "text" in block]


def answered_texts(content: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a guardrail reads of an answer."""
    return [block["text"] for block in content if "text" in block]


def assessment(words: tuple[str, ...]) -> dict[str, Any]:
    """A GuardrailAssessment of the words found."""
    found = [{"match": word, "action": "BLOCKED", "detected": True} for word in words]
    return {"wordPolicy": {"customWords": found, "managedWordLists": []}}


def applied(body: bytes, words: tuple[str, ...]) -> dict[str, Any]:
    """The answer to ApplyGuardrail.

    Raises:
        ServiceError: ValidationException that says what is wrong with the body.
    """
    try:
        request = _ApplyGuardrail.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise ServiceError("ValidationException", "The body is not JSON.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ServiceError("ValidationException", f"{place}: {first['msg']}") from None
    texts = [content.text.text for content in request.content if content.text]
    found = blocked_words(words, texts)
    characters = sum(map(len, texts))
    units = math.ceil(characters / _CHARACTERS_A_UNIT)
    return {
        "usage": {
            **{f"{policy}PolicyUnits": units if policy == "word" else 0 for policy in _UNITS},
            "sensitiveInformationPolicyFreeUnits": 0,
        },
        "action": "GUARDRAIL_INTERVENED" if found else "NONE",
        "actionReason": "Guardrail blocked." if found else "No action.",
        "outputs": [{"text": BLOCKED}] if found else [],
        "assessments": [assessment(found)] if found else [],
        "guardrailCoverage": {"textCharacters": {"guarded": characters, "total": characters}},
    }
