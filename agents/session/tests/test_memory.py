"""The running session as it is remembered: bounded, repeatable, and over when nothing is heard of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headgate_agent_session.features import FEATURE_NAMES, extract
from headgate_agent_session.memory import DEVICES, PACES, remember
from headgate_schemas import Contracts
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from headgate_agent_session.context import SessionContext

GAP_S = 30 * 60


def after(context: SessionContext, *events: Any) -> dict[str, Any]:
    memory: dict[str, Any] | None = None
    for each in events:
        memory = remember(memory, each, context.policy)
    assert memory is not None
    return memory


def test_a_session_goes_on_until_nothing_has_been_heard_of_it_for_the_gap(context: Any, event: Any) -> None:
    going = after(context, event(), event(at_s=GAP_S), event("login", at_s=2 * GAP_S))
    assert (going["events"], going["counts"]) == (3, {"views": 2, "ordinary": 2, "logins": 1})
    over = after(context, event(), event(at_s=GAP_S + 1))
    assert (over["events"], over["start_ms"]) == (1, event(at_s=GAP_S + 1)["event_timestamp"])


def test_a_late_event_counts_and_turns_no_clock_back(context: Any, event: Any) -> None:
    memory = after(context, event(at_s=100), event(at_s=40), event(at_s=110))
    assert (memory["events"], memory["paces"]) == (3, [0, 10_000])


def test_classes_of_pages_are_counted(context: Any, event: Any) -> None:
    pages = ["/products/1", "/PRODUCTS/2", "/cart", "/checkout", "/account/security", "/.env", "/help"]
    counts = after(context, *(event(page=page) for page in pages))["counts"]
    assert counts == {"views": 7, "product": 2, "buying": 2, "sensitive": 1, "probing": 1, "ordinary": 1}


def test_failures_before_a_login_that_succeeds_are_remembered_for_the_session(context: Any, event: Any) -> None:
    failures = [event("login", outcome="failure") for _ in range(4)]
    assert after(context, *failures, event("login"))["guessed"] == 4
    assert after(context, *failures[:2], event("login"))["guessed"] == 0
    assert after(context, *failures, event("login"), event("login"))["guessed"] == 4
    assert after(context, *failures, event("login"), event(at_s=2 * GAP_S))["guessed"] == 0


def test_devices_become_known_with_the_next_session_and_those_of_a_guess_do_not(context: Any, event: Any) -> None:
    home, away = {"device_id": "home"}, {"device_id": "away"}
    first = [event("login", **home)]
    guess = [event("login", at_s=2 * GAP_S, outcome="failure", **away) for _ in range(3)]
    guess.append(event("login", at_s=2 * GAP_S, **away))

    def new(*before: Any, at_s: float, **device: Any) -> bool:
        found: bool = extract(event(at_s=at_s, **device), after(context, *before), context.policy)["device_new"]
        return found

    assert not new(*first, at_s=1, **away)
    assert new(*first, at_s=2 * GAP_S, **away)
    assert not new(*first, at_s=2 * GAP_S, **home)
    assert new(*first, *guess, at_s=4 * GAP_S, **away)
    assert not new(*first, *guess, at_s=4 * GAP_S, **home)


def test_a_memory_of_another_form_is_a_new_session(context: Any, event: Any) -> None:
    assert remember({"v": 0, "what": "ever"}, event(), context.policy) == remember(None, event(), context.policy)


def test_remembering_changes_nothing_it_was_given_and_repeats_exactly(context: Any, event: Any) -> None:
    memory = after(context, event(device_id="dev-1"), event("login", outcome="failure"))
    before = json.dumps(memory)
    again = [remember(memory, event(at_s=7, page="/cart", device_id="dev-2"), context.policy) for _ in range(2)]
    assert again[0] == again[1]
    assert json.dumps(memory) == before
    assert remember(json.loads(before), event(at_s=7, page="/cart", device_id="dev-2"), context.policy) == again[0]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["page_view", "login", "transaction", "refund"]),
            st.sampled_from(["/", "/products/1", "/.env", "/cart", "/account/security"]),
            st.sampled_from(["failure", "success"]),
            st.integers(-4_000, 4_000),
            st.sampled_from([None, "a", "b", "c", "d", "e"]),
        ),
        max_size=40,
    )
)
def test_a_memory_stays_small_and_every_event_has_every_feature(context: Any, event: Any, steps: Any) -> None:
    memory, at_s = None, 0
    for event_type, page, outcome, seconds, device in steps:
        at_s += seconds
        occurred = event(event_type, at_s=at_s, page=page, outcome=outcome, device_id=device)
        features = extract(occurred, memory, context.policy)
        assert features.keys() == FEATURE_NAMES
        memory = remember(memory, occurred, context.policy)
        assert len(memory["paces"]) <= PACES
        assert max(len(memory["devices"]), len(memory["known"])) <= DEVICES
        assert len(json.dumps(memory, separators=(",", ":"))) < 400


def test_every_example_of_the_contract_can_be_decided(agent_with: Any) -> None:
    agent, _ = agent_with()
    examples = list(Contracts.load().examples("base_event").values())
    assert len(agent.triage(examples, [None] * len(examples))) == len(examples)
