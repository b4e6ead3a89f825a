"""Reference data the agent's tools answer from: small files in this package, each with its source and date."""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_right
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

MerchantRisk = Literal["normal", "elevated", "high"]
Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Listed = TypeVar("Listed", bound="Sourced")
_USUAL_MINOR_UNITS = 2


class Sourced(BaseModel):
    """Data with where it is from and of when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(min_length=1)]
    as_of: dt.date


class Peers(Sourced):
    """How much orders come to: amount in US dollars by percentile, both rising."""

    orders: Annotated[int, Field(gt=0)]
    amount_usd: dict[float, float]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        percentiles, amounts = list(self.amount_usd), list(self.amount_usd.values())
        if len(amounts) < 2 or percentiles != sorted(set(percentiles)) or amounts != sorted(set(amounts)):  # noqa: PLR2004 - ends
            raise ValueError("amount_usd: percentiles and amounts must rise, from the least order to the largest")
        return self

    def percentile(self, amount_usd: float) -> float:
        """Share of the orders below an amount, per cent, interpolated between the known ones."""
        percentiles, amounts = list(self.amount_usd), list(self.amount_usd.values())
        above = bisect_right(amounts, amount_usd)
        if above in {0, len(amounts)}:
            return percentiles[0] if above == 0 else percentiles[-1]
        low, high = amounts[above - 1], amounts[above]
        share = (amount_usd - low) / (high - low)
        return round(percentiles[above - 1] + share * (percentiles[above] - percentiles[above - 1]), 1)


class Currencies(Sourced):
    """What stands out about currencies, by ISO 4217 code."""

    minor_units: dict[int, tuple[Code, ...]]
    replaced_by: dict[Code, Code]
    high_risk_issuers: tuple[Code, ...]

    def decimals(self, code: str) -> int:
        """Decimals of an amount in the currency."""
        return next((units for units, codes in self.minor_units.items() if code in codes), _USUAL_MINOR_UNITS)


class MerchantCategory(BaseModel):
    """What some merchants sell.

    Attributes:
        mcc: ISO 18245 code.
        category: Its name.
        risk: How closely such sales are watched.
        words: Words or phrases of their names, lower case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mcc: Annotated[str, Field(pattern=r"^\d{4}$")]
    category: str
    risk: MerchantRisk
    words: Annotated[tuple[str, ...], Field(min_length=1)]


class Merchants(Sourced):
    """Categories of merchants, the first that fits counts."""

    categories: tuple[MerchantCategory, ...]

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], MerchantCategory], ...]:
        return tuple(
            (re.compile(rf"\b(?:{'|'.join(map(re.escape, found.words))})\b"), found) for found in self.categories
        )

    def category(self, name: str) -> MerchantCategory | None:
        """Find the category of a merchant by its cleaned name; None where no word of it is known."""
        lowered = name.lower()
        return next((found for pattern, found in self._patterns if pattern.search(lowered)), None)


class Reference(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True)

    peers: Peers
    currencies: Currencies
    merchants: Merchants


def load_reference() -> Reference:
    """Read the packaged files.

    Raises:
        ValueError: A value is missing, unknown or out of order; the text names it.
    """
    return Reference(
        peers=_read("peers", Peers), currencies=_read("currencies", Currencies), merchants=_read("merchants", Merchants)
    )


def _read(name: str, shape: type[Listed]) -> Listed:
    text = files(__package__).joinpath("data", f"{name}.yaml").read_text(encoding="utf-8")
    return shape.model_validate(yaml.safe_load(text))
