"""A model's answer: what it is made of, and where its request or a limit cuts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_bedrock_local.tokens import CHARACTERS_A_TOKEN, block_tokens, blocks_tokens

if TYPE_CHECKING:
    from headgate_bedrock_local.requests import ConverseRequest


class Counted(NamedTuple):
    """Tokens as the model's own tokenizer counts them."""

    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer.

    Attributes:
        content: Content blocks, each ``text`` or ``toolUse``.
        stop_reason: As in the service model.
        source: What the content was made from: ``policy``, ``schema``, ``text`` or ``llama``.
        counted: Tokens read and written; None where the model has no tokenizer, and characters are counted.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    source: str
    counted: Counted | None = None

    @property
    def tokens(self) -> int:
        """Output tokens."""
        if self.counted is not None:
            return self.counted.written
        return sum(block_tokens(block.get("toolUse", {}).get("input", block)) for block in self.content)


def tool_use(prompt: bytes, name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    """A tool use; the first of an answer has the prompt's digest as its id, later ones their number besides."""
    suffix = f"_{number}" if number else ""
    return {"toolUse": {"toolUseId": f"tooluse_{prompt.hex()[:22]}{suffix}", "name": name, "input": arguments}}


def limited(answer: Answer, request: ConverseRequest) -> Answer:
    """The answer as the request's stop sequences and maxTokens leave it."""
    for stop in request.inference_config.stop_sequences:
        for index, block in enumerate(answer.content):
            if stop in block.get("text", ""):
                kept = [*answer.content[:index], {"text": block["text"].split(stop, 1)[0]}]
                answer = replace(answer, content=kept, stop_reason="stop_sequence")
                break
    return cut(answer, request.max_tokens) if answer.tokens > request.max_tokens else answer


def cut(answer: Answer, most_tokens: int) -> Answer:
    """The beginning of an answer: whole blocks, then the last one up to the limit; a tool's input loses properties."""
    content: list[dict[str, Any]] = []
    left = most_tokens
    for block in answer.content:
        used = block.get("toolUse")
        shorter = {"text": block["text"][: left * CHARACTERS_A_TOKEN]} if used is None else _cut_input(block, left)
        content.append(shorter)
        left -= blocks_tokens([shorter.get("toolUse", {}).get("input", shorter)])
        if left <= 0 or shorter != block:
            break
    return replace(answer, content=content, stop_reason="max_tokens")


def _cut_input(block: dict[str, Any], most_tokens: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in block["toolUse"]["input"].items():
        if block_tokens({**kept, name: value}) > most_tokens:
            break
        kept[name] = value
    return {"toolUse": {**block["toolUse"], "input": kept}}
