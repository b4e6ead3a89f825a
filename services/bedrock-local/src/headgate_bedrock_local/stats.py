"""Counters of the endpoint, and how often the same prompt was answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

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
        by_source: Answers by what they were made from: policy, schema or text.
        distinct_prompts: Different prompts answered.
        repeated_answers: Answers to a prompt that had been answered before: what was paid for twice.
        prompts_by_answers: How many prompts were answered once, twice, ...
        prompts_forgotten: Prompts dropped from the memory of repeats, the oldest first.
    """

    calls: int = 0
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


class Recorder:
    """Keeps the counters; :meth:`snapshot` reads them."""

    def __init__(self) -> None:
        self._prompts: dict[bytes, _Asked] = {}
        self._stats = Stats()

    def called(self) -> None:
        """A call came in."""
        stats = self._stats
        stats.calls += 1
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)

    def left(self) -> None:
        """A call is over."""
        self._stats.in_flight -= 1

    def failed(self, code: str) -> None:
        """A call ended in an error."""
        self._stats.by_error[code] = self._stats.by_error.get(code, 0) + 1

    def asked(self, prompt: bytes) -> int:
        """Count one more call with this prompt; returns which one it is, from 1."""
        asked = self._prompts.get(prompt)
        if asked is None:
            asked = self._prompts[prompt] = _Asked()
            if len(self._prompts) > _MOST_PROMPTS:
                self._prompts.pop(next(iter(self._prompts)))
                self._stats.prompts_forgotten += 1
        asked.calls += 1
        return asked.calls

    def answered(self, model_id: str, prompt: bytes, usage: dict[str, int], stop_reason: str, source: str) -> None:
        """A model answered; ``usage`` as on the wire."""
        stats = self._stats
        stats.answers += 1
        stats.input_tokens += usage["inputTokens"]
        stats.output_tokens += usage["outputTokens"]
        stats.cache_read_tokens += usage["cacheReadInputTokens"]
        stats.cache_write_tokens += usage["cacheWriteInputTokens"]
        model = stats.by_model.setdefault(model_id, ModelStats())
        model.answers += 1
        model.input_tokens += usage["inputTokens"]
        model.output_tokens += usage["outputTokens"]
        stats.by_stop_reason[stop_reason] = stats.by_stop_reason.get(stop_reason, 0) + 1
        stats.by_source[source] = stats.by_source.get(source, 0) + 1
        asked = self._prompts.get(prompt)
        if asked is not None:
            asked.answers += 1
            stats.distinct_prompts += asked.answers == 1
            stats.repeated_answers += asked.answers > 1

    def snapshot(self) -> Stats:
        """A copy of the counters; reading the histogram of repeats takes time in proportion to the prompts kept."""
        histogram = Counter(asked.answers for asked in self._prompts.values() if asked.answers)
        return self._stats.model_copy(update={"prompts_by_answers": dict(sorted(histogram.items()))}, deep=True)

    def reset(self) -> None:
        """Start anew; calls in flight stay counted as in flight."""
        in_flight = self._stats.in_flight
        self._stats = Stats(in_flight=in_flight, peak_in_flight=in_flight)
        self._prompts.clear()
