"""Wires the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_enricher.gateway.cache import AnswerCache
from headgate_enricher.gateway.calls import Calls
from headgate_enricher.gateway.endpoint import Endpoint
from headgate_enricher.gateway.metrics import GatewayMetrics
from headgate_enricher.gateway.routes import Routes

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

    from headgate_enricher.bedrock.model import ModelFactory
    from headgate_enricher.bedrock.settings import ModelSettings
    from headgate_enricher.config import Settings
    from headgate_enricher.gateway.protocols import Purse
    from headgate_enricher.pricing import PriceList


def create_calls(settings: Settings, models: ModelFactory, prices: PriceList, purse: Purse, metrics: Metrics) -> Calls:
    """Wire the gateway over the models of the settings; recordings come later, when the agents' versions are known.

    Raises:
        ConfigurationError: A model is none, or has no price.
    """
    shown = GatewayMetrics(metrics)

    def create(model: ModelSettings) -> Endpoint:
        price = prices.price(model.base_model_id or model.id)
        return Endpoint(
            model,
            models.create(model, cache_from_tokens=price.cache_from_tokens),
            price,
            most_in_flight=settings.max_in_flight,
            metrics=shown,
        )

    return Calls(
        routes=Routes(settings.models, create),
        purse=purse,
        cache=AnswerCache(settings.cached_answers),
        retries=models.retries,
        metrics=shown,
    )
