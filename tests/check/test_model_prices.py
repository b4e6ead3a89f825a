"""The command line's price list has the models as the enricher's has them: what is estimated is what is booked."""

from __future__ import annotations

from headgate_admin.cost.figures import load_book
from headgate_enricher.pricing import load_prices


def test_models_cost_the_same_in_estimates_and_in_records() -> None:
    booked, estimated = load_prices(None), load_book().prices
    assert {name: (price.input, price.output) for name, price in booked.models.items()} == {
        name: (price.input, price.output) for name, price in estimated.models.items()
    }
    assert booked.as_of == estimated.sources[estimated.models_source].date
    assert booked.source == estimated.models_page
