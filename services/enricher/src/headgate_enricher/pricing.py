"""What a decision's model calls cost, from a dated list of prices."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from importlib import resources
from typing import TYPE_CHECKING, Annotated

import yaml
from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_schemas.agent import Usage

Dollars = Annotated[float, Field(ge=0)]
_REGION = re.compile(r"^(us|eu|apac|au|ca|jp|global|us-gov)\.")
_VERSION = re.compile(r"(-\d{8})?(-v\d+(:\d+)?)?$")


class Price(BaseModel):
    """A model's price in US dollars per million tokens, which is micro-dollars per token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Dollars
    output: Dollars

    def cost_microdollars(self, usage: Usage) -> int:
        """Price a usage, in millionths of a US dollar, rounded up so that the sum never says too little."""
        exact = usage.input_tokens * _exact(self.input) + usage.output_tokens * _exact(self.output)
        return math.ceil(exact)


class PriceList(BaseModel):
    """Prices with where they are from and of when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    as_of: dt.date
    models: Mapping[str, Price]

    def price(self, model_id: str) -> Price:
        """Find a model's price by its id, inference profile id or ARN.

        Raises:
            ConfigurationError: The list has no such model; the text says what to add.
        """
        name = base_model(model_id)
        found = self.models.get(name)
        if found is None:
            raise ConfigurationError(
                f"No price for model {model_id!r}: add '{name}: {{input: ..., output: ...}}' (US dollars per million "
                f"tokens) under 'models' in a copy of the price list, and name it in HEADGATE_ENRICHER_PRICES_FILE. "
                f"Known: {', '.join(sorted(self.models))}."
            )
        return found


def base_model(model_id: str) -> str:
    """A model id without ARN, region prefix, date and version: ``anthropic.claude-haiku-4-5``."""
    return _VERSION.sub("", _REGION.sub("", model_id.rsplit("/", 1)[-1]))


def load_prices(path: Path | None) -> PriceList:
    """Read a price list; None reads the one in this package.

    Raises:
        ConfigurationError: The file cannot be read or is not a price list.
    """
    source = path or resources.files(__package__).joinpath("prices.yaml")
    try:
        return PriceList.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"The price list {source} cannot be used: {error}") from error


def _exact(dollars: float) -> Fraction:
    # 0.035 is not a binary fraction; its shortest decimal form is what the price list says.
    return Fraction(str(dollars))
