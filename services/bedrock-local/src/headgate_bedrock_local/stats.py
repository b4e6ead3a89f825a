"""Counters of the endpoint, and how often the same prompt was answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

_MOST_PROMPTS = 1_000_000


class ModelStats(BaseModel):
    """What one model was paid for."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Stats(BaseModel):
    """What the endpoint did since it started or was reset.

    Attributes:
        calls: Requests to Converse and ConverseStream, however they ended.
        blocked: Calls whose input a guardrail blocked: no model was asked, nothing is paid for.
        answers: Calls a model answered; each is paid for, also where its connection was dropped or left.
        in_flight: Calls being answered now.
        peak_in_flight: Most calls in flight at once.
        input_tokens: Tokens read by models, without those of the prompt cache.
        output_tokens: Tokens answered.
        cache_read_tokens: Tokens read from the prompt cache.
        cache_write_tokens: Tokens written to the prompt cache.
        by_model: Answers and tokens by model id.
        by_error: Calls by the error they ended in.
        by_stop_reason: Answers by stop reason.
        by_source: Answers by what they were made from: policy, schema, text or llama.
        distinct_prompts: Different prompts answered.
        repeated_answers: Answers to a prompt that had been answered before: what was paid for twice.
        prompts_by_answers: How many prompts were answered once, twice, ...
        prompts_forgotten: Prompts dropped from the memory of repeats, the oldest first.
    """

    calls: int = 0
    blocked: int = 0
    answers: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    by_model: dict[str, ModelStats] = {}
    by_error: dict[str, int] = {}
    by_stop_reason: dict[str, int] = {}
    by_source: dict[str, int] = {}
    distinct_prompts: int = 0
    repeated_answers: int = 0
    prompts_by_answers: dict[int, int] = {}
    prompts_forgotten: int = 0


@dataclass(slots=True)
class _Asked:
    calls: int = 0
    answers: int = 0


@dataclass(slots=True)
class _Paid:
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class _Counters:
    """The counters of :class:`Stats` by their names; a plain object, since every call moves ten of them."""

    calls: int = 0
    blocked: int = 0
    answers: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    by_model: dict[str, _Paid] = field(default_factory=dict)
    by_error: Counter[str] = field(default_factory=Counter)
    by_stop_reason: Counter[str] = field(default_factory=Counter)
    by_source: Counter[str] = field(default_factory=Counter)
    distinct_prompts: int = 0
    repeated_answers: int = 0
    prompts_forgotten: int = 0


class Recorder:
    """Keeps the counters; :meth:`snapshot` reads them."""

    def __init__(self) -> None:
        self._prompts: dict[bytes, _Asked] = {}
        self._counters = _Counters()

    def called(self) -> None:
        """A call came in."""
        counters = self._counters
        counters.calls += 1
        counters.in_flight += 1
        counters.peak_in_flight = max(counters.peak_in_flight, counters.in_flight)

    def left(self) -> None:
        """A call is over."""
        self._counters.in_flight -= 1

    def failed(self, code: str) -> None:
        """A call ended in an error."""
        self._counters.by_error[code] += 1

    def blocked(self) -> None:
        """A guardrail blocked a call's input."""
        self._counters.blocked += 1

    def asked(self, prompt: bytes) -> int:
        """Count one more call with this prompt; returns which one it is, from 1."""
        asked = self._prompts.get(prompt)
        if asked is None:
            asked = self._prompts[prompt] = _Asked()
            if len(self._prompts) > _MOST_PROMPTS:
                self._prompts.pop(next(iter(self._prompts)))
                self._counters.prompts_forgotten += 1
        asked.calls += 1
        return asked.calls

    def answered(self, model_id: str, prompt: bytes, usage: dict[str, Any], stop_reason: str, source: str) -> None:
        """A model answered; ``usage`` as on the wire."""
        counters = self._counters
        read, written = usage["inputTokens"], usage["outputTokens"]
        counters.answers += 1
        counters.input_tokens += read
        counters.output_tokens += written
        counters.cache_read_tokens += usage["cacheReadInputTokens"]
        counters.cache_write_tokens += usage["cacheWriteInputTokens"]
        model = counters.by_model.get(model_id) or counters.by_model.setdefault(model_id, _Paid())
        model.answers += 1
        model.input_tokens += read
        model.output_tokens += written
        counters.by_stop_reason[stop_reason] += 1
        counters.by_source[source] += 1
        asked = self._prompts.get(prompt)
        if asked is not None:
            asked.answers += 1
            counters.distinct_prompts += asked.answers == 1
            counters.repeated_answers += asked.answers > 1

    def snapshot(self) -> Stats:
        """A copy of the counters; reading the histogram of repeats takes time in proportion to the prompts kept."""
        histogram = Counter(asked.answers for asked in self._prompts.values() if asked.answers)
        stats = Stats.model_validate(self._counters, from_attributes=True)
        return stats.model_copy(update={"prompts_by_answers": dict(sorted(histogram.items()))})

    def reset(self) -> None:
        """Start anew; calls in flight stay counted as in flight."""
        in_flight = self._counters.in_flight
        self._counters = _Counters(in_flight=in_flight, peak_in_flight=in_flight)
        self._prompts.clear()
