"""Prices: found by any form of a model's id, rounded up, dated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headgate_enricher.pricing import Price, base_model, load_prices
from headgate_runtime.errors import ConfigurationError
from headgate_schemas.agent import Usage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite"),
        ("us.amazon.nova-lite-v1:0", "amazon.nova-lite"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5"),
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0", "amazon.nova-pro"),
        ("anthropic.claude-sonnet-5", "anthropic.claude-sonnet-5"),
    ],
)
def test_a_price_is_found_by_any_form_of_the_model_id(model_id: str, name: str) -> None:
    assert base_model(model_id) == name
    prices = load_prices(None)
    assert prices.price(model_id) is prices.models[name]


def test_a_cost_is_exact_and_rounded_up() -> None:
    price = Price(input=0.035, output=0.14)
    assert price.cost_microdollars(Usage(1, 1000, 100)) == 49
    assert price.cost_microdollars(Usage(1, 1, 0)) == 1
    assert price.cost_microdollars(Usage()) == 0


def test_a_cost_is_not_rounded_up_by_a_binary_fraction() -> None:
    assert Price(input=0.1, output=0).cost_microdollars(Usage(1, 30, 0)) == 3


def test_an_unknown_model_says_what_to_add() -> None:
    with pytest.raises(ConfigurationError, match=r"'acme\.seer: \{input: ..., output: ...}'"):
        load_prices(None).price("acme.seer-v1:0")


def test_a_newer_model_is_not_taken_for_its_elder() -> None:
    with pytest.raises(ConfigurationError):
        load_prices(None).price("anthropic.claude-sonnet-5-1-20270101-v1:0")


def test_own_prices_replace_the_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("source: contract 7\nas_of: 2026-11-01\nmodels:\n  acme.seer: {input: 1, output: 2}\n")
    assert load_prices(path).price("acme.seer-v1:0") == Price(input=1, output=2)


@pytest.mark.parametrize("text", ["", "models: [", "source: x\nas_of: 2026-11-01\nmodels: {m: {input: -1, output: 0}}"])
def test_a_broken_price_list_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"prices\.yaml"):
        load_prices(path)


def test_tokens_of_the_prompt_cache_have_prices_of_their_own() -> None:
    price = Price(input=2, output=10, cache_read=0.2, cache_write=2.5)
    assert price.cost_microdollars(Usage(1, 1_000, 10), cache_read=500, cache_written=100) == 800 + 100 + 250 + 100
    assert Price(input=2, output=10).cost_microdollars(Usage(1, 1_000, 0), cache_read=900) == 2_000


def test_the_most_an_attempt_can_cost_assumes_that_the_cache_is_written() -> None:
    price = Price(input=2, output=10, cache_read=0.2, cache_write=2.5)
    assert price.most_microdollars(1_000, 100) == 3_500
    assert price.most_microdollars(1_000, 100) >= price.cost_microdollars(Usage(1, 1_000, 100), cache_written=1_000)
