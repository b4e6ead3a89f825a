"""What is not up yet is waited for to a deadline, and each reason is said once."""

from __future__ import annotations

import time

import pytest
from headgate_admin import patience
from headgate_admin.patience import patiently
from headgate_runtime.errors import RejectedError, UnavailableError


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_TRY_AGAIN_S", 0.0)


def test_a_reason_to_wait_is_said_once() -> None:
    answers: list[UnavailableError | None] = [*map(UnavailableError, ["no broker", "no broker", "no topic"]), None]
    said: list[str] = []

    def step() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "done"

    assert patiently(step, time.monotonic() + 60, said.append) == "done"
    assert said == ["waiting: no broker", "waiting: no topic"]


def test_the_last_reason_stands_once_the_deadline_has_passed() -> None:
    def away() -> None:
        raise UnavailableError("no broker answers")

    with pytest.raises(UnavailableError, match="no broker answers"):
        patiently(away, time.monotonic(), lambda _: None)


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    calls: list[int] = []

    def refused() -> None:
        calls.append(1)
        raise RejectedError("not allowed")

    with pytest.raises(RejectedError):
        patiently(refused, time.monotonic() + 60, lambda _: None)
    assert calls == [1]
