"""Canaries: which keys are theirs, and what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.canary import Canary, CanaryIntake, CanarySettings, check_canary
from headgate_enricher.config import Settings
from headgate_enricher.routing import ANY, Decider, Routing
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import Record
from pydantic import ValidationError

if TYPE_CHECKING:
    from headgate_schemas.agent import Event

KEYS = [f"user-{number}".encode() for number in range(20_000)]


class Named:
    version = "1"

    def __init__(self, name: str) -> None:
        self.name = name


def decider(name: str, place: int = 0) -> Decider:
    return Decider(cast("Any", Named(name)), place)


OF, OTHER = decider("risk"), decider("session", 1)


def canary(percent: float, name: str = "risk_next") -> Canary:
    return Canary(decider(name, 2), OF, percent)


def taken(canary: Canary) -> set[bytes]:
    return {key for key in KEYS if canary.takes(key)}


@pytest.mark.parametrize("percent", [0.5, 5, 50, 99])
def test_its_share_of_the_keys_is_about_what_was_asked_for(percent: float) -> None:
    expected = len(KEYS) * percent / 100
    deviation = (expected * (1 - percent / 100)) ** 0.5
    assert abs(len(taken(canary(percent))) - expected) < 5 * deviation


def test_none_and_all_are_shares_too() -> None:
    assert taken(canary(0)) == set()
    assert taken(canary(100)) == set(KEYS)


def test_a_larger_share_has_the_keys_of_a_smaller_one_and_they_never_change() -> None:
    assert taken(canary(5)) == taken(canary(5)) < taken(canary(10))


def test_another_canary_gets_other_keys() -> None:
    both = taken(canary(10)) & taken(canary(10, "risk_other"))
    assert len(both) < len(KEYS) * 0.02


class Accepts:
    """Routes by the record's value."""

    def accept(self, record: Record) -> tuple[Event, Decider]:
        return {"kind": record.value}, OTHER if record.value == b"other" else OF


def decides(share: Canary, key: bytes | None, value: bytes = b"") -> str:
    event, found = CanaryIntake(Accepts(), share).accept(Record("in", 0, 0, 0, key, value))
    assert event == {"kind": value}
    return found.name


def test_only_keyed_events_of_the_agent_it_is_tried_for_are_its_own() -> None:
    assert decides(canary(100), b"user-1") == "risk_next"
    assert decides(canary(0), b"user-1") == "risk"
    assert decides(canary(100), None) == "risk"
    assert decides(canary(100), b"user-1", b"other") == "session"


def test_it_remembers_beside_the_others_and_decides_on_no_type_of_its_own() -> None:
    tried = canary(5)
    routing = Routing({ANY: OF}, canary=tried)
    assert routing.deciders == [OF, tried.decider]
    assert routing.only is OF
    assert routing.types_of(tried.decider) == []


def test_it_is_configured_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ENRICHER_CANARY", '{"agent": "risk_next", "of": "risk", "percent": 5}')
    assert Settings().canary == CanarySettings(agent="risk_next", of="risk", percent=5)
    monkeypatch.setenv("HEADGATE_ENRICHER_CANARY", '{"agent": "risk_next", "of": "risk", "percent": 101}')
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        Settings()


@pytest.mark.parametrize(
    ("agent", "of", "complaint"),
    [("risk_next", "session", "CANARY is of 'session'"), ("risk", "risk", "it decides already")],
)
def test_one_that_cannot_be_is_refused(agent: str, of: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        check_canary(CanarySettings(agent=agent, of=of, percent=5), ["risk"])
