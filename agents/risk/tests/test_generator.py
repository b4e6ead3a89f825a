"""Generated traffic: reproducible, labelled beside the event, within the contract."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

import pytest
from headgate_agent_risk.generator import LABELS, NORMAL, generate, generate_visits
from headgate_schemas import Contracts, compile_rules
from headgate_schemas.agent import GreyCase
from hypothesis import given, settings
from hypothesis import strategies as st

START_MS = 1_760_000_000_000
DAY_MS = 86_400_000


def traffic(events: int = 5_000, **known: Any) -> list[tuple[Any, str]]:
    return list(generate(**{"seed": 7, "events": events, "start_ms": START_MS, "end_ms": START_MS + DAY_MS, **known}))


def test_every_event_keeps_to_the_contract() -> None:
    contracts = Contracts.load()
    broken = compile_rules(contracts.topic("raw-events"))
    payload = next(f for f in contracts.record("base_event").schema["fields"] if f["name"] == "payload")
    names = [field["name"] for field in payload["type"]["fields"][0]["type"]["fields"]]
    for event, _ in traffic(20_000):
        assert broken(event) is None
        assert sorted(event["payload"]["attributes"]) == sorted(names)


def test_same_seed_gives_the_same_events_on_every_python() -> None:
    text = json.dumps(traffic(2_000), sort_keys=True)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "ff0cf7c6e347b55ca04be6fdd6577677b1263e825c4c42ffdafa24c276a441da"
    )


def test_another_seed_gives_others() -> None:
    assert traffic(100) != traffic(100, seed=8)


@settings(max_examples=30)
@given(events=st.integers(0, 300), span_ms=st.integers(1, 1_000), seed=st.integers(0, 2**64))
def test_events_are_sorted_within_the_span_and_as_many_as_asked(events: int, span_ms: int, seed: int) -> None:
    made = traffic(events, seed=seed, end_ms=START_MS + span_ms)
    times = [event["event_timestamp"] for event, _ in made]
    assert len(made) == events
    assert times == sorted(times)
    assert all(START_MS <= time < START_MS + span_ms for time in times)
    assert len({event["event_id"] for event, _ in made}) == events


def test_labels_stay_out_of_the_event() -> None:
    for event, label in traffic():
        assert label in LABELS
        assert not any(name in json.dumps(event) for name in LABELS[1:] if name != "bot")
        assert "label" not in event


def test_all_kinds_occur_and_most_is_ordinary() -> None:
    made = traffic(20_000)
    labels = Counter(label for _, label in made)
    types = Counter(event["event_type"] for event, _ in made)
    assert labels.keys() == set(LABELS)
    assert 0.95 < labels[NORMAL] / len(made) < 0.97
    assert types["page_view"] > types["login"] > 0.15 * len(made)
    assert types["transaction"] > 0.15 * len(made)


def test_given_users_are_the_only_ones() -> None:
    users = [f"{n:05d}" for n in range(50)]
    assert {event["payload"]["attributes"]["user_id"] for event, _ in traffic(keys=users)} == set(users)


def test_about_two_in_a_hundred_want_the_model(agent_with: Any) -> None:
    agent, _ = agent_with()
    events = [event for event, _ in traffic(20_000)]
    results = agent.triage(events, [None] * len(events))
    assert 0.01 < sum(isinstance(result, GreyCase) for result in results) / len(results) < 0.03


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"events": -1}, "must be 0 or more"),
        ({"end_ms": START_MS}, "must be later than start_ms"),
        ({"keys": []}, "keys is empty"),
    ],
)
def test_impossible_wishes_are_refused_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generate(**{"seed": 1, "events": 1, "start_ms": START_MS, "end_ms": START_MS + 1, **wrong})


def test_visits_are_logins_and_page_views_of_the_given_users() -> None:
    made = list(generate_visits(seed=3, events=2_000, start_ms=0, end_ms=60_000, keys=["a", "b"]))
    assert len(made) == 2_000
    assert {event["event_type"] for event, _ in made} == {"login", "page_view"}
    assert {event["payload"]["attributes"]["user_id"] for event, _ in made} == {"a", "b"}
    assert len({label for _, label in made}) > 1
