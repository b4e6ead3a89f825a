"""Rules and policy as data: what they say, and what they refuse to say."""

from __future__ import annotations

from typing import Any

import pytest
from headgate_agent_risk.features import FEATURE_NAMES, FeatureExtractor
from headgate_agent_risk.policy import Policy, load_policy
from headgate_agent_risk.rules import Rule, RuleBook, load_rules
from headgate_agent_risk.scoring import Scorer

FLOOR = "flag_high_risk"


def rule(name: str = "r", **known: Any) -> Rule:
    return Rule.model_validate({"name": name, "when": {"night": True}, "weight": 0.4, "reason": "so", **known})


def login(**known: Any) -> dict[str, Any]:
    defaults = dict.fromkeys(FEATURE_NAMES["login"])
    return {**defaults, "event_type": "login", "hour_utc": 3, "night": True, "channel": "web", **known}


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        ({"night": True}, {"night": True}, {"night": False}),
        ({"channel": "web"}, {"channel": "web"}, {"channel": "api"}),
        ({"hour_utc": {"at_least": 3}}, {"hour_utc": 3}, {"hour_utc": 2}),
        ({"hour_utc": {"at_most": 3}}, {"hour_utc": 3}, {"hour_utc": 4}),
        ({"channel": {"one_of": ["web", "api"]}}, {"channel": "api"}, {"channel": "store"}),
        ({"channel": "web", "night": True}, {"channel": "web", "night": True}, {"channel": "web", "night": False}),
    ],
)
def test_condition(when: dict[str, Any], holds: dict[str, Any], fails: dict[str, Any]) -> None:
    book = RuleBook([rule(event_types=["login"], when=when)])
    assert book.fired(login(**holds)) == 1
    assert book.fired(login(**fails)) == 0


def test_fired_rules_are_bits_in_their_order() -> None:
    book = RuleBook([rule("a"), rule("b", when={"night": False}), rule("c")])
    mask = book.fired(login())
    assert mask == 0b101
    assert [found.name for found in book.of(mask)] == ["a", "c"]


def test_rule_without_types_holds_for_types_the_agent_does_not_know() -> None:
    book = RuleBook([rule(when={"event_type": "other"})])
    assert book.fired({"event_type": "other"}) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"event_types": ["login"], "when": {"amount_ratio": {"at_least": 1}}}, "login has no feature amount_ratio"),
        ({"when": {"amount": {"at_least": 1}}}, "has no feature amount"),
        ({"event_types": ["refund"]}, "no event type refund; known: transaction"),
        ({"when": {"hour_utc": {"at_least": 1, "at_most": 2}}}, "one of at_least, at_most, one_of"),
        ({"when": {}}, "at least 1 item"),
        ({"weight": 1.0}, "less than 1"),
    ],
)
def test_malformed_rule_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rule(**wrong)


def test_two_rules_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="share a name"):
        RuleBook([rule("a"), rule("a")])


def test_floor_that_would_never_be_looked_at_is_refused() -> None:
    light = rule("light", weight=0.1, floor=FLOOR)
    with pytest.raises(ValueError, match="rule light has a floor"):
        Scorer(RuleBook([light]), load_policy())


def test_score_grows_with_every_rule_and_stays_below_one() -> None:
    scorer = Scorer(RuleBook([rule(name) for name in ("a", "b", "c")]), load_policy())
    scores = [scorer.assess(mask).score for mask in (0, 1, 3, 7)]
    assert scores == sorted(scores)
    assert scores[0] == 0
    assert scores[1] == pytest.approx(0.4)
    assert scores[3] == pytest.approx(1 - 0.6**3)


def test_policy_whose_thresholds_contradict_each_other_is_refused() -> None:
    values = load_policy().model_dump()
    with pytest.raises(ValueError, match="grey_from <= fallback_flag_from"):
        Policy.model_validate({**values, "fallback_flag_from": 0.2})


def test_policy_with_an_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="grey_form"):
        Policy.model_validate({**load_policy().model_dump(), "grey_form": 0.2})


@pytest.mark.parametrize("event_type", ["transaction", "login", "page_view", "refund"])
def test_extractor_gives_exactly_the_features_rules_may_name(event: Any, event_type: str) -> None:
    features = FeatureExtractor(load_policy())(event(event_type), None)
    assert features.keys() == FEATURE_NAMES[features["event_type"]]


def test_every_packaged_rule_names_a_reason_fit_for_a_record() -> None:
    for packaged in load_rules():
        assert packaged.reason[0].islower()
        assert packaged.reason.isprintable()
