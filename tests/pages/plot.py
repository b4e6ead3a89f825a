"""The plot of docs/cost.md: what a month costs by rate and means, and a million events by share at the model."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from headgate_admin.cost.alternatives.models import BILLS
from headgate_admin.cost.comparison import without_model
from headgate_admin.cost.estimate import estimate
from headgate_admin.cost.workload import make_workload

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_admin.cost.figures import Book
    from matplotlib.axes import Axes

    Curves = dict[str, list[tuple[float, float]]]

_RATES: Final = [10 ** (step / 4) for step in range(21)]
_SHARES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # told apart by all kinds of sight
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "headgate",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


def curves(book: Book) -> tuple[Curves, Curves]:
    """Dollars a month without tokens by rate, for each means; dollars a million events by share, for each model at 1,000/s."""
    by_rate = {
        name: [(rate, without_model(name, make_workload(events_per_s=rate), book)) for rate in _RATES] for name in BILLS
    }
    by_share: Curves = {}
    for model in book.prices.models:
        works = [make_workload(events_per_s=1000, model=model, model_share=share) for share in _SHARES]
        found = [estimate(work, book) for work in works]
        by_share[model] = [(e.work.model_share, e.per_million(e.monthly_usd)) for e in found]
    return by_rate, by_share


def digest(book: Book) -> str:
    """What the plot shows, in short: stands in the file, so that a stale one is found without drawing."""
    shown = [{name: [(x, round(y, 4)) for x, y in line] for name, line in part.items()} for part in curves(book)]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def draw(path: Path, book: Book) -> None:
    """Write the SVG; the same figures give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - the check of the pages does without
    from matplotlib.figure import Figure  # noqa: PLC0415 - see above

    by_rate, by_share = curves(book)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _lines(left, by_rate, "events a second", "US$ a month without the model's tokens")
        _lines(right, by_share, "share of events at the model, at 1,000/s", "US$ a million events, all of it")
        figure.savefig(path, format="svg", metadata={"Date": None, "Description": digest(book)})


def _lines(axes: Axes, lines: Curves, x: str, title: str) -> None:
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        axes.plot([at for at, _ in points], [value for _, value in points], label=name, color=colour)
    axes.set(xscale="log", yscale="log", xlabel=x)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
