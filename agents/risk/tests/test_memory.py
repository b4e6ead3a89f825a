"""What is remembered of an account, how large it may become, and what the rules make of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk.account import UNKNOWN_ACCOUNT, UNKNOWN_PAYER, compare
from headgate_agent_risk.memory import DAY_MS, HOUR_MS, KEPT, NO_HISTORY, history, remember
from headgate_agent_toolkit.marks import mark
from headgate_schemas.agent import Decision, GreyCase
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_agent_risk.context import RiskContext

MOST_BYTES = 400
START_MS = 1_760_011_200_000
AMOUNTS = st.floats(min_value=0, allow_nan=False)
HOURS = st.integers(-48, 24 * 400)


def after(context: RiskContext, *events: Any) -> Any:
    memory = None
    for event in events:
        memory = remember(memory, event, context.policy)
    return memory


@settings(max_examples=150, deadline=None)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["transaction", "login", "page_view", "refund"]),
            AMOUNTS,
            HOURS,
            st.sampled_from(["dev-1", "dev-2", "dev-3", "dev-4", "dev-5", "headless-\udcff", None]),
            st.sampled_from(["US", "DE", "VN", "RU", "KP", "FR", None]),
        ),
        max_size=60,
    )
)
def test_a_memory_is_small_json_without_identifiers(
    context: RiskContext, event: Callable[..., dict[str, Any]], acts: list[tuple[str, float, int, Any, Any]]
) -> None:
    memory: Any = None
    for kind, amount, hours, device, country in acts:
        known = {"amount": amount, "currency": "JPY", "outcome": "failure", "device_id": device, "country": country}
        at_ms = START_MS + hours * HOUR_MS
        memory = remember(memory, event(kind, at_ms=at_ms, user_id="jane.doe", **known), context.policy)
        text = json.dumps(memory, separators=(",", ":"), allow_nan=False)
        assert len(text.encode()) < MOST_BYTES
        assert json.loads(text) == memory
        assert not any(word in text for word in ("jane", "dev-", "headless", "JPY"))
        history(memory, at_ms)


def test_remembering_changes_nothing_it_was_given_and_repeats_exactly(context: RiskContext, event: Any) -> None:
    memory = after(context, event(device_id="dev-1"), event("login", outcome="failure"))
    before = json.dumps(memory)
    again = [remember(memory, event(amount=7.0, device_id="dev-2"), context.policy) for _ in range(2)]
    assert again[0] == again[1]
    assert json.dumps(memory) == before
    restored = json.loads(json.dumps(memory))
    assert remember(restored, event(amount=7.0, device_id="dev-2"), context.policy) == again[0]


def test_figures_fade_with_time(context: RiskContext, event: Any) -> None:
    failures = [event("login", outcome="failure", at_ms=START_MS) for _ in range(4)]
    memory = after(context, *failures)
    assert history(memory, START_MS).failed_hour == 4.0
    assert history(memory, START_MS + HOUR_MS).failed_hour == pytest.approx(4 / 2.71828, abs=0.01)
    assert history(memory, START_MS + DAY_MS).failed_hour == 0.0
    assert history(memory, START_MS + DAY_MS).failed_day == pytest.approx(4 / 2.71828, abs=0.01)
    assert history(memory, START_MS + 3 * HOUR_MS).quiet_hours == 3.0


def test_a_late_event_counts_and_turns_no_clock_back(context: RiskContext, event: Any) -> None:
    memory = after(context, event(at_ms=START_MS), event(at_ms=START_MS - DAY_MS))
    found = history(memory, START_MS)
    assert (found.payments, found.payments_hour, found.quiet_hours) == (2, 2.0, 0.0)


def test_the_last_used_devices_are_kept(context: RiskContext, event: Any) -> None:
    devices = [f"dev-{number}" for number in range(KEPT + 2)]
    memory = after(context, *(event(device_id=device) for device in [*devices, devices[3]]))
    assert memory["devices"] == [mark("customer-4711", device) for device in (devices[2], *devices[4:], devices[3])]


def test_the_same_device_has_another_mark_with_another_account() -> None:
    assert mark("jane", "dev-1") != mark("joe", "dev-1")


def test_a_memory_of_another_form_counts_as_none(context: RiskContext, event: Any) -> None:
    old = {"v": 0, "events": 12}
    assert history(old, START_MS) == history(None, START_MS) == NO_HISTORY
    assert remember(old, event(), context.policy) == remember(None, event(), context.policy)


def test_an_unknown_account_has_nothing_new(context: RiskContext, event: Any) -> None:
    features = {"event_type": "transaction", "amount_ratio": 1.0, **UNKNOWN_ACCOUNT, **UNKNOWN_PAYER}
    known = dict(features)
    compare(known, event(device_id="dev-1", country="US"), {"v": 0})
    assert known == features
    compare(known, event(device_id="dev-1", country="US"), after(context, event()))
    assert (known["device_new"], known["country_new"], known["payments_hour"]) == (False, False, 1.0)


def test_an_accounts_usual_amount_takes_three_payments(context: RiskContext, event: Any) -> None:
    for payments, ratio in ((2, 0.0), (3, 10.0)):
        features: dict[str, Any] = {"event_type": "transaction", "amount_ratio": 10.0}
        compare(features, event(amount=360.0), after(context, *[event(amount=36.0)] * payments))
        assert features.get("account_ratio", 0.0) == ratio


def judged(agent_with: Any, memory: Any, event: Any) -> tuple[str, str]:
    """How triage ends, and the rules' decision."""
    agent, _ = agent_with()
    (result,) = agent.triage([event], [memory])
    if isinstance(result, GreyCase):
        assert result.memory is memory
        return "grey", result.floor.decision
    assert isinstance(result, Decision)
    return "decided", result.decision


@pytest.mark.parametrize(
    ("failures", "then", "expected"),
    [
        (0, {"event_type": "login"}, ("decided", "allow")),
        (1, {"event_type": "login"}, ("decided", "allow")),
        (3, {"event_type": "login"}, ("grey", "allow")),
        (3, {"event_type": "login", "outcome": "failure"}, ("decided", "allow")),
        (5, {"event_type": "login", "outcome": "failure"}, ("decided", "flag_high_risk")),
        (0, {"event_type": "page_view", "page": "/account/payout"}, ("decided", "allow")),
        (3, {"event_type": "page_view", "page": "/account/payout"}, ("grey", "flag_high_risk")),
        (3, {"event_type": "page_view", "page": "/products/1"}, ("decided", "allow")),
        (3, {"amount": 120.0}, ("grey", "flag_high_risk")),
        (3, {"amount": 30.0}, ("decided", "allow")),
        (0, {"amount": 120.0}, ("decided", "allow")),
    ],
)
def test_failed_logins_weigh_on_what_follows(
    agent_with: Any, context: RiskContext, event: Any, *, failures: int, then: dict[str, Any], expected: tuple[str, str]
) -> None:
    memory = after(context, *[event("login", outcome="failure", device_id="dev-1")] * failures)
    assert judged(agent_with, memory, event(**{"device_id": "dev-1", **then})) == expected


@pytest.mark.parametrize(
    ("device", "country", "expected"),
    [
        ("dev-1", "US", ("decided", "allow")),
        ("dev-9", "US", ("decided", "allow")),
        ("dev-9", "FR", ("grey", "allow")),
    ],
)
def test_a_large_payment_from_where_the_account_never_was_is_grey(
    agent_with: Any, context: RiskContext, event: Any, *, device: str, country: str, expected: tuple[str, str]
) -> None:
    memory = after(context, *[event(device_id="dev-1", country="US")] * 3)
    payment = event(amount=115.0, device_id=device, country=country)
    assert judged(agent_with, memory, payment) == expected
