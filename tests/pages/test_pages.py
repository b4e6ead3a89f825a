"""The pages on cost, scale and governance show what is calculated now."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headgate_admin.cost.figures import load_book
from headgate_schemas import Contracts

from tests.pages.__main__ import PLOT, filled, pages
from tests.pages.governance import governance_blocks
from tests.pages.plot import digest

BOOK = load_book()
STALE = "is stale: run `make pages` and commit what it writes"


def test_calculated_parts_of_the_pages_are_of_these_prices_figures_and_contracts() -> None:
    for path, text in pages(BOOK).items():
        assert path.read_text(encoding="utf-8") == text, f"docs/{path.name} {STALE}"


def test_the_plot_is_of_these_prices_and_figures() -> None:
    assert digest(BOOK) in PLOT.read_text(encoding="utf-8"), f"docs/diagrams/{PLOT.name} {STALE}"


def test_another_price_makes_the_page_stale() -> None:
    dearer = BOOK.prices.figures["s3.put"].model_copy(update={"value": 0.006})
    prices = BOOK.prices.model_copy(update={"figures": {**BOOK.prices.figures, "s3.put": dearer}})
    changed = type(BOOK)(prices, BOOK.measured)
    assert pages(changed) != pages(BOOK)
    assert digest(changed) != digest(BOOK)


def test_another_owner_rule_or_tag_makes_the_catalogue_stale() -> None:
    contracts = Contracts.load()
    raw = contracts.topic("raw-events")
    for change in ({"owner": "somebody"}, {"on_violation": "quarantine"}, {"consumers": ("enricher", "spy")}):
        topics = {**contracts.topics, "raw-events": raw.model_copy(update=change)}
        assert governance_blocks(replace(contracts, topics=topics)) != governance_blocks(contracts)


def test_a_place_without_a_block_is_refused() -> None:
    assert filled("a\n<!-- begin x -->\nold\n<!-- end x -->\nb", {"x": "new"}) == (
        "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb"
    )
    with pytest.raises(ValueError, match="differ: \\['x', 'y'\\]"):
        filled("<!-- begin x -->\n<!-- end x -->", {"y": "new"})
