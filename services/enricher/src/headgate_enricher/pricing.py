"""What a decision's model calls cost, from a dated list of prices."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
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
_UNITS = 10**9  # exact for prices of up to nine decimals; a finer one is rounded up
_VERSION = re.compile(r"(-\d{8})?(-v\d+(:\d+)?)?$")


class Price(BaseModel):
    """A model's price in US dollars per million tokens, which is micro-dollars per token.

    Attributes:
        input: Input tokens.
        output: Output tokens.
        cache_read: Input tokens out of the prompt cache; None where they cost as others.
        cache_write: Input tokens put into the prompt cache; None where they cost as others.
        cache_from_tokens: Shortest prefix the prompt cache takes; None where the model has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    cache_from_tokens: Annotated[int, Field(ge=1)] | None = None

    def cost_microdollars(self, usage: Usage, *, cache_read: int = 0, cache_written: int = 0) -> int:
        """Price a usage, in millionths of a US dollar, rounded up so that the sum never says too little.

        Args:
            usage: Tokens in all.
            cache_read: How many of the input tokens came out of the prompt cache.
            cache_written: How many of the input tokens went into it.
        """
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        plain = usage.input_tokens - cache_read - cache_written
        exact = plain * _exact(self.input) + usage.output_tokens * _exact(self.output)
        return _whole(exact + cache_read * _exact(read) + cache_written * _exact(write))

    def most_microdollars(self, input_tokens: int, output_tokens: int) -> int:
        """The most so many tokens can cost, whatever the prompt cache does."""
        dearest = max(self.input, self.cache_write or 0.0)
        return _whole(input_tokens * _exact(dearest) + output_tokens * _exact(self.output))


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


@lru_cache(maxsize=256)
def _exact(dollars: float) -> int:
    """Dollars a million tokens, in units of which ``_UNITS`` make a micro-dollar a token."""
    # 0.035 is not a binary fraction; its shortest decimal form is what the price list says.
    return math.ceil(Decimal(str(dollars)) * _UNITS)


def _whole(units: int) -> int:
    return -(-units // _UNITS)
