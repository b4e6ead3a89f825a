"""What the tools answer, and from what data."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from headgate_agent_risk.lookups import CurrencyArguments, NoArguments, read_only_tools
from headgate_agent_risk.memory import remember
from headgate_agent_risk.reference import Peers, load_reference
from pydantic import BaseModel, ValidationError


def found(context: Any, name: str, case: Any, arguments: BaseModel | None = None) -> dict[str, Any]:
    (tool,) = [tool for tool in read_only_tools(context.policy, context.reference) if tool.name == name]
    result = asyncio.run(tool.find(arguments or NoArguments(), case))  # type: ignore[arg-type] - any awaitable
    return result.model_dump(exclude_none=True)


def test_history_of_an_account_never_seen_is_empty(context: Any, grey: Any) -> None:
    answer = found(context, "account_history", grey())
    assert answer["known"] is False
    assert not any(answer.values())


def test_history_is_that_of_the_events_account_before_the_event(context: Any, grey: Any, event: Any) -> None:
    memory = None
    for minutes in (240, 180, 120):
        before = event(amount=36.0, channel="web", device_id="d-1", at_ms=1_760_011_200_000 - minutes * 60_000)
        memory = remember(memory, before, context.policy)
    answer = found(context, "account_history", grey(memory=memory))
    assert (answer["known"], answer["events"], answer["payments"], answer["devices"]) == (True, 3, 3, 1)
    assert answer["quiet_hours"] == 2.0
    assert answer["usual_ratio"] == pytest.approx(1.0, abs=0.02)


def test_peers_place_a_payment_by_its_size_in_any_currency(context: Any, grey: Any) -> None:
    usual, large = (found(context, "peer_statistics", grey(amount=amount)) for amount in (180.0, 360.0))
    assert 98 < usual["percentile"] < large["percentile"] <= 100
    same = found(context, "peer_statistics", grey(amount=360.0 * 5400 / 36, currency="JPY"))
    assert same["percentile"] == pytest.approx(large["percentile"], abs=0.2)


def test_peers_cannot_place_what_has_no_known_size(context: Any, grey: Any) -> None:
    assert found(context, "peer_statistics", grey(currency="XPF")) == {"comparable": False, "orders": 0}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("JPY", {"minor_units": 0, "usual_payment": 5400.0, "issuer_risk": "normal"}),
        ("KWD", {"minor_units": 3, "issuer_risk": "normal"}),
        ("KPW", {"minor_units": 2, "issuer_risk": "high"}),
        ("BGN", {"minor_units": 2, "issuer_risk": "normal", "replaced_by": "EUR"}),
    ],
)
def test_currencies_are_told_apart(context: Any, grey: Any, code: str, expected: dict[str, Any]) -> None:
    assert found(context, "currency_reference", grey(), CurrencyArguments(currency=code)) == expected


@pytest.mark.parametrize("code", ["usd", "US", "USD'; DROP TABLE", "", "EURO"])
def test_what_is_no_currency_code_is_no_argument(code: str) -> None:
    with pytest.raises(ValidationError):
        CurrencyArguments(currency=code)


@pytest.mark.parametrize(
    ("merchant", "category", "risk"),
    [
        ("Bitcoin Corner", "quasi_cash", "high"),
        ("Grand CASINO Royale", "gambling", "high"),
        ("City Pharmacy", "pharmacy", "elevated"),
        ("\uff22\uff4f\uff4f\uff4b\uff53 & More", "books", "normal"),
    ],
)
def test_merchants_are_known_by_words_of_their_name(
    context: Any, grey: Any, merchant: str, category: str, risk: str
) -> None:
    answer = found(context, "merchant_reference", grey(merchant=merchant))
    assert (answer["known"], answer["category"], answer["risk"]) == (True, category, risk)


@pytest.mark.parametrize("merchant", [None, "", "Zyx", "fairway"])
def test_merchants_whose_name_says_nothing_are_unknown(context: Any, grey: Any, merchant: str | None) -> None:
    assert found(context, "merchant_reference", grey(merchant=merchant)) == {"known": False, "risk": "unknown"}


def test_reference_data_say_where_they_are_from_and_of_when() -> None:
    reference = load_reference()
    for part in (reference.peers, reference.currencies, reference.merchants):
        assert len(part.source) > 20
        assert 2020 <= part.as_of.year <= 2026


def test_percentiles_that_do_not_rise_are_refused() -> None:
    known = load_reference().peers.model_dump()
    with pytest.raises(ValidationError, match="must rise"):
        Peers.model_validate({**known, "amount_usd": {0: 5.0, 50: 1.0}})


def test_percentiles_meet_the_known_ones_and_end_at_the_ends() -> None:
    peers = load_reference().peers
    assert [peers.percentile(amount) for amount in (0.0, 25.98, 96.66, 5_000.0)] == [0.0, 50.0, 95.0, 100.0]
    assert 50 < peers.percentile(30.0) < 75
