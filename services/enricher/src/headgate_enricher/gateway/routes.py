"""Which model a call goes to: the primary, a cheaper one when money runs short, the fallback when the primary fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict
from pydantic_settings import NoDecode

from headgate_enricher.bedrock.settings import ModelSettings
from headgate_enricher.gateway.errors import BudgetExhaustedError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_enricher.gateway.endpoint import Endpoint

Route = Literal["primary", "cheaper", "fallback"]
DEFAULT_MODEL: Final = ModelSettings(id="us.amazon.nova-micro-v1:0")


class RouteSettings(BaseModel):
    """The models, by the part they play.

    Attributes:
        primary: Asked first.
        cheaper: Asked when no budget is left for the primary; None leaves the decision to the rules.
        fallback: Asked when the primary fails or is not to be asked; None leaves the decision to the rules.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # From the environment it comes as text, an id alone mostly, which is not to be taken for broken JSON.
    primary: Annotated[ModelSettings, NoDecode] = DEFAULT_MODEL
    cheaper: ModelSettings | None = None
    fallback: ModelSettings | None = None


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The endpoints in force at one moment."""

    primary: Endpoint
    cheaper: Endpoint | None
    fallback: Endpoint | None

    def first(self, failed: Sequence[Endpoint]) -> Endpoint:
        """Where the next attempt of a call begins, given those that failed it."""
        other = self.fallback
        if failed and other is not None and other not in failed and other.admits():
            return other
        return self.primary

    def after(self, refusal: GatewayError, refused: Sequence[Endpoint]) -> Endpoint | None:
        """Who else may be asked after a refusal; None where nobody is left."""
        other = self.cheaper if isinstance(refusal, BudgetExhaustedError) else self.fallback
        return None if other in refused else other

    def failover(self, failed: Sequence[Endpoint]) -> bool:
        """Whether the next attempt of a call goes to a model that has not failed it."""
        return self.first(failed) is self.fallback and self.fallback not in failed

    def named(self) -> dict[Route, Endpoint | None]:
        """The endpoints by the part they play."""
        return {"primary": self.primary, "cheaper": self.cheaper, "fallback": self.fallback}


class Routes:
    """The route table, which can be switched while calls are under way; each call keeps the one it began with.

    Args:
        settings: The models to begin with.
        create: Makes an endpoint.

    Raises:
        ConfigurationError: A model is none, or has no price.
    """

    def __init__(self, settings: RouteSettings, create: Callable[[ModelSettings], Endpoint]) -> None:
        self._create = create
        self._switching = threading.Lock()
        self._bindings: list[dict[str, Any]] = []
        self._settings = settings
        self._table = self._build(settings, {})

    @property
    def table(self) -> RouteTable:
        """The table in force."""
        return self._table

    @property
    def settings(self) -> RouteSettings:
        """The models in force."""
        return self._settings

    def bind(self, binding: dict[str, Any]) -> Mapping[str, Any]:
        """Let the models format tools, and remember them for models to come.

        Args:
            binding: Arguments of ``bind_tools``.

        Raises:
            ValueError: A model cannot be used with them.
        """
        formatted: Mapping[str, Any] = {}
        for endpoint in filter(None, reversed(self._table.named().values())):
            formatted = _bind(endpoint, binding)
        self._bindings.append(binding)
        return formatted

    def switch(self, settings: RouteSettings) -> RouteTable:
        """Put other models in force; those that stay keep what has been learned about them.

        Raises:
            ConfigurationError: A model is none, has no price, or cannot be used with the agent's tools.
        """
        with self._switching:
            known = {endpoint.settings: endpoint for endpoint in self._table.named().values() if endpoint is not None}
            table = self._build(settings, known)
            self._table, self._settings = table, settings
        return table

    def _build(self, settings: RouteSettings, known: dict[ModelSettings, Endpoint]) -> RouteTable:
        def endpoint(model: ModelSettings) -> Endpoint:
            if model not in known:
                known[model] = self._checked(model)
            return known[model]

        return RouteTable(
            endpoint(settings.primary),
            endpoint(settings.cheaper) if settings.cheaper else None,
            endpoint(settings.fallback) if settings.fallback else None,
        )

    def _checked(self, model: ModelSettings) -> Endpoint:
        try:
            endpoint = self._create(model)
            for binding in self._bindings:
                _bind(endpoint, binding)
        except ValueError as error:
            raise ConfigurationError(f"Model {model.id!r} cannot be used: {error}") from error
        return endpoint


def _bind(endpoint: Endpoint, binding: Mapping[str, Any]) -> Mapping[str, Any]:
    bound: Mapping[str, Any] = endpoint.model.bind_tools(**binding).kwargs  # type: ignore[attr-defined]  # a RunnableBinding
    return bound
