"""The numbers the cost model counts with: each with its unit, and with its source and date or the reason it is assumed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

import yaml
from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.resources.abc import Traversable

BENCH: Final = Path("build/bench")
_LIST = TypeVar("_LIST", bound="FigureList")
# What the benchmarks' files hold of the model's figures: file, figure there, figure here, conversion.
_BENCHES: Final[tuple[tuple[str, str, str, Callable[[float], float]], ...]] = (
    ("producer", "producer_cpu_us_per_event", "cpu.producer", float),
    ("enricher", "enricher_cpu_us_per_event_0pct", "cpu.enricher.0", float),
    ("enricher", "enricher_cpu_us_per_event_2pct", "cpu.enricher.2", float),
    ("enricher", "enricher_cpu_us_per_event_10pct", "cpu.enricher.10", float),
    ("writer", "rows_per_cpu_s", "cpu.writer", lambda rows: 1e6 / rows),
    ("writer", "commit_cpu_ms_at_end", "cpu.commit", lambda ms: ms * 1000),
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Where numbers were read.

    Attributes:
        what: The page, file or measurement.
        date: Of the copy or the measurement; None where the copy bears none.
    """

    what: str
    date: dt.date | None

    def __str__(self) -> str:
        return f"{self.what} ({self.date or 'undated'})"


class Figure(_Frozen):
    """A number that is counted with.

    Attributes:
        value: The number.
        unit: Of what.
        page: The vendor's page that is the price, where it is one.
        source: Key of the list's source it was read from; or
        assumption: why it is assumed.
    """

    value: Annotated[float, Field(ge=0)]
    unit: str
    page: str | None = None
    source: str | None = None
    assumption: str | None = None

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.source is None) == (self.assumption is None):
            raise ValueError("say either its source or why it is assumed")
        return self


class TokenPrice(_Frozen):
    """US dollars per million tokens of a model."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class FigureList(_Frozen):
    """Figures by name, with their sources."""

    sources: Mapping[str, Source]
    figures: Mapping[str, Figure]

    @model_validator(mode="after")
    def _knows_its_sources(self) -> Self:
        used = {figure.source for figure in self.figures.values() if figure.source is not None}
        if unknown := used - set(self.sources):
            raise ValueError(f"sources that are not listed: {', '.join(sorted(unknown))}")
        return self

    def value(self, name: str) -> float:
        """The number of that name.

        Raises:
            ConfigurationError: There is none.
        """
        found = self.figures.get(name)
        if found is None:
            prefix = name.partition(".")[0]
            known = sorted(other for other in self.figures if other.partition(".")[0] == prefix)
            raise ConfigurationError(f"No figure {name!r}; known of this kind: {', '.join(known) or 'none'}.")
        return found.value

    def origin(self, name: str) -> str:
        """Where the number of that name comes from, for people."""
        found = self.figures[name]
        return f"assumption: {found.assumption}" if found.source is None else str(self.sources[found.source])

    def dated(self, name: str) -> str:
        """Of when the number of that name is."""
        source = self.figures[name].source
        return "assumed" if source is None else str(self.sources[source].date or "undated")


class PriceList(FigureList):
    """Prices of one region.

    Attributes:
        region: AWS region.
        models: Prices of Amazon Bedrock's models, on demand.
        models_page: The page they are from.
        models_source: Key of the source they were read from.
    """

    region: str
    models: Mapping[str, TokenPrice]
    models_page: str
    models_source: str

    def model(self, name: str) -> TokenPrice:
        """The price of a model.

        Raises:
            ConfigurationError: The list has none.
        """
        if (found := self.models.get(name)) is None:
            raise ConfigurationError(f"No price for model {name!r}; known: {', '.join(sorted(self.models))}.")
        return found


@dataclass(frozen=True)
class Book:
    """Everything that is counted with.

    Attributes:
        prices: What things cost.
        measured: What the pipeline takes of them.
        own: Names of the measured figures that a benchmark's run of this tree has replaced.
    """

    prices: PriceList
    measured: FigureList
    own: tuple[str, ...] = ()


def load_book(
    prices: Path | None = None, bench: Path | None = None, region: str | None = None, *, measured: Path | None = None
) -> Book:
    """Read prices and figures.

    Args:
        prices: A price list to use instead of the shipped one.
        bench: Folder whose benchmark figures take the place of the shipped ones, as far as it has them.
        region: The region that the prices have to be of; None takes them as they are.
        measured: Figures and assumptions to use instead of the shipped ones.

    Raises:
        ConfigurationError: A file cannot be read or is not of its form, or the prices are another region's.
    """
    shipped = resources.files(__package__)
    counted = _read(measured or shipped.joinpath("measured.yaml"), FigureList)
    own = {} if bench is None else dict(_benchmarked(bench, counted))
    sources = {f"bench.{name}": source for name, (_, source) in own.items()}
    figures = {name: figure for name, (figure, _) in own.items()}
    priced = _read(prices or shipped.joinpath("prices.yaml"), PriceList)
    if region not in {None, priced.region}:
        raise ConfigurationError(f"The prices are of {priced.region}: give a list of {region} with --prices FILE.")
    return Book(
        priced,
        FigureList(sources={**counted.sources, **sources}, figures={**counted.figures, **figures}),
        tuple(own),
    )


def _read(path: Path | Traversable, form: type[_LIST]) -> _LIST:
    try:
        return form.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be used: {error}") from error


def _benchmarked(folder: Path, shipped: FigureList) -> Mapping[str, tuple[Figure, Source]]:
    """The figures that runs of the benchmarks left in a folder, with where they were measured."""
    found: dict[str, tuple[Figure, Source]] = {}
    for bench, theirs, ours, convert in _BENCHES:
        report = _report(folder / f"{bench}.json")
        if theirs not in report.get("figures", {}):
            continue
        machine = report["machine"]
        where = f"{folder / bench}.json at commit {report['commit']}; {machine['cores']} cores, {machine['platform']}"
        figure = Figure(
            value=convert(report["figures"][theirs]), unit=shipped.figures[ours].unit, source=f"bench.{ours}"
        )
        found[ours] = figure, Source(what=where, date=dt.datetime.fromisoformat(report["at"]).date())
    return found


def _report(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ConfigurationError(f"{path} is no benchmark's file: run the benchmark again, or remove it.") from error
