from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_producer.generate import generate, load_generator
from headgate_runtime.errors import ConfigurationError
from headgate_schemas import TopicContract, compile_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPAN = {"start_ms": 1_800_000_000_000, "end_ms": 1_800_000_600_000}


def test_a_generator_is_found_by_name_and_its_events_keep_the_contract(topic: TopicContract) -> None:
    candidates = list(generate(load_generator("risk"), topic, name="risk", seed=7, events=300, **SPAN))

    check = compile_rules(topic)
    assert len(candidates) == 300
    assert [check(candidate.event or {}) for candidate in candidates] == [None] * 300
    times = [candidate.time_ms for candidate in candidates]
    assert times == sorted(times)
    assert SPAN["start_ms"] <= times[0]
    assert times[-1] <= SPAN["end_ms"]
    assert len({candidate.label for candidate in candidates}) > 1


def test_the_same_seed_gives_the_same_events_and_another_does_not(topic: TopicContract) -> None:
    generator = load_generator("risk")

    first, again, other = (
        list(generate(generator, topic, name="risk", seed=seed, events=50, **SPAN)) for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other


def test_an_unknown_generator_lists_those_that_are_installed() -> None:
    with pytest.raises(ConfigurationError, match="risk"):
        load_generator("nope")


def test_an_event_without_a_time_is_offered_at_the_start(topic: TopicContract) -> None:
    def generator(
        *, seed: int, events: int, start_ms: int, end_ms: int, keys: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, Any], str]]:
        yield {"seed": seed, "events": events, "end": end_ms - start_ms, "keys": keys}, "odd"

    (candidate,) = generate(generator, topic, name="odd", seed=1, events=1, **SPAN)

    assert candidate.time_ms == SPAN["start_ms"]
    assert candidate.event == {"seed": 1, "events": 1, "end": 600_000, "keys": None}
