"""GET and PUT /control/model: which models are asked, switched while the service runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from fastapi import APIRouter, HTTPException
from headgate_runtime.access import REFUSALS, ControlCaller, Problem, audited
from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, model_validator

from headgate_enricher.bedrock.settings import ModelSettings
from headgate_enricher.gateway.breaker import State
from headgate_enricher.gateway.routes import RouteSettings

if TYPE_CHECKING:
    from headgate_enricher.gateway.endpoint import Endpoint
    from headgate_enricher.gateway.routes import Routes, RouteTable

_UNUSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value


class ModelState(BaseModel):
    """A model and what keeps calls from it now; prices are US dollars per million tokens."""

    model: ModelSettings
    input_price: float
    output_price: float
    breaker: State
    in_flight: int
    concurrency_limit: int


class RouteState(BaseModel):
    """The models by the part they play; null where that part is not filled."""

    primary: ModelState
    cheaper: ModelState | None
    fallback: ModelState | None


class Switch(BaseModel):
    """The routes to change; one left out stays, and null empties ``cheaper`` or ``fallback``."""

    model_config = ConfigDict(extra="forbid")

    primary: ModelSettings | None = None
    cheaper: ModelSettings | None = None
    fallback: ModelSettings | None = None

    @model_validator(mode="after")
    def _keeps_a_primary(self) -> Self:
        if "primary" in self.model_fields_set and self.primary is None:
            raise ValueError("primary can be replaced, not emptied")
        return self

    def changes(self) -> dict[str, ModelSettings | None]:
        """What was given, by route."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def model_router(routes: Routes) -> APIRouter:
    """The endpoints that show and switch the models."""
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS)

    @router.get("/model")
    def read_models(caller: ControlCaller) -> RouteState:  # noqa: ARG001 (only guards)
        """The models that are asked, and how they are doing."""
        return _state(routes.table)

    @router.put("/model", responses={_UNUSABLE: {"model": Problem, "description": "A model cannot be used, and why."}})
    def switch_models(switch: Switch, caller: ControlCaller) -> RouteState:
        """Ask other models from the next call on, until the service is started again."""
        changes = switch.changes()
        settings = RouteSettings.model_validate({**dict(routes.settings), **changes})
        try:
            with audited(caller, "switch models", **{name: model and model.id for name, model in changes.items()}):
                return _state(routes.switch(settings))
        except ConfigurationError as error:
            raise HTTPException(_UNUSABLE, str(error)) from error

    return router


def _state(table: RouteTable) -> RouteState:
    cheaper, fallback = table.cheaper, table.fallback
    return RouteState(
        primary=_shown(table.primary),
        cheaper=_shown(cheaper) if cheaper else None,
        fallback=_shown(fallback) if fallback else None,
    )


def _shown(endpoint: Endpoint) -> ModelState:
    price = endpoint.price
    return ModelState(
        model=endpoint.settings, input_price=price.input, output_price=price.output, **endpoint.snapshot()
    )
