from __future__ import annotations

from contextlib import suppress

import pytest
from headgate_bedrock_local.quotas import Quotas
from headgate_bedrock_local.wire import ServiceError
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 200)), max_size=60))
def test_never_more_than_a_full_bucket_and_what_flowed_in_is_taken(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.limit(requests_per_minute=0, tokens_per_minute=600)
    taken = 0
    for wait_s, tokens in steps:
        clock.now_s += wait_s
        with suppress(ServiceError):
            quotas.reserve("m", tokens, None)
            taken += tokens
    assert taken <= 600 + clock.now_s * 10 + 1e-6
    clock.now_s += 60
    quotas.reserve("m", 600, None)


def test_a_throttled_model_recovers_as_time_passes() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.limit(requests_per_minute=2, tokens_per_minute=0)
    quotas.reserve("m", 1, None)
    quotas.reserve("m", 1, None)
    with pytest.raises(ServiceError):
        quotas.reserve("m", 1, None)
    clock.now_s += 30
    quotas.reserve("m", 1, None)


def test_a_refused_call_takes_nothing_from_either_bucket() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.limit(requests_per_minute=1, tokens_per_minute=100)
    with pytest.raises(ServiceError):
        quotas.reserve("m", 101, None)
    quotas.reserve("m", 100, None)
    quotas.give_back("m", 1_000)
    with pytest.raises(ServiceError):
        quotas.reserve("m", 1, None)
