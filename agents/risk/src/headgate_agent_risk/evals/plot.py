"""The figures as a picture: precision and recall over the threshold, and cost; needs the extra ``evals`` of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from headgate_agent_risk.evals.measure import Outcome

_STEPS = 50
_COLOURS = ("#0072b2", "#d55e00")  # told apart by all kinds of sight, and in grey
_WIDTHS = (4.0, 1.5)  # the first shows beneath the second where they are the same
_ALPHAS = (0.45, 1.0)
_STYLE: dict[Any, Any] = {
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


class Point(NamedTuple):
    """What flagging from a risk score on would be worth; the precision of no flags is left out as None."""

    threshold: float
    precision: float | None
    recall: float


class Side(NamedTuple):
    """One of the two that are compared.

    Attributes:
        name: What it is called.
        points: Its precision and recall.
        cost_usd: What 1,000 events cost, US dollars.
    """

    name: str
    points: Sequence[Point]
    cost_usd: float


def curve(outcomes: Sequence[Outcome]) -> list[Point]:
    """Precision and recall if every event were flagged from a risk score on, for scores from 0 to 1."""
    bad = sum(found.bad for found in outcomes)
    points = []
    for step in range(_STEPS + 1):
        threshold = step / _STEPS
        flagged = [found.bad for found in outcomes if found.decision.risk_score >= threshold]
        points.append(Point(threshold, sum(flagged) / len(flagged) if flagged else None, sum(flagged) / max(bad, 1)))
    return points


def draw(path: Path, sides: Sequence[Side], *, flag_from: float, subtitle: str) -> None:
    """Write an SVG; the same figures give the same bytes.

    Args:
        path: Where.
        sides: What is compared.
        flag_from: The risk score from which on the agent flags.
        subtitle: What was measured.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 4), layout="constrained")
        rates, costs = figure.subplots(1, 2, width_ratios=[3, 1])
        _draw_rates(rates, sides, flag_from)
        _draw_costs(costs, sides)
        figure.suptitle(subtitle, fontsize=9, color="#555555")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_rates(axes: Axes, sides: Sequence[Side], flag_from: float) -> None:
    for side, colour, width, alpha in zip(sides, _COLOURS, _WIDTHS, _ALPHAS, strict=True):
        thresholds = [point.threshold for point in side.points]
        precisions = [float("nan") if point.precision is None else point.precision for point in side.points]
        look: dict[str, Any] = {"color": colour, "linewidth": width, "alpha": alpha}
        axes.plot(thresholds, precisions, label=f"precision, {side.name}", **look)
        axes.plot(thresholds, [point.recall for point in side.points], "--", label=f"recall, {side.name}", **look)
    axes.axvline(flag_from, color="#555555", linewidth=1)
    axes.annotate(
        "flagged from here", (flag_from, 0.02), (4, 0), textcoords="offset points", fontsize=9, color="#555555"
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="risk score from which on an event is flagged")
    axes.set_title("Precision and recall", loc="left")
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)


def _draw_costs(axes: Axes, sides: Sequence[Side]) -> None:
    bars = axes.bar([side.name for side in sides], [side.cost_usd for side in sides], color=_COLOURS, width=0.6)
    axes.bar_label(bars, labels=[f"${side.cost_usd:.4f}" if side.cost_usd else "$0" for side in sides], padding=3)
    axes.set_ylim(0, max((side.cost_usd for side in sides), default=0.0) * 1.2 or 1.0)
    axes.grid(visible=False, axis="x")
    axes.set_title("US$ per 1,000 events", loc="left")


def sides_of(figures: Mapping[str, float], ruled: Sequence[Outcome], informed: Sequence[Outcome]) -> tuple[Side, Side]:
    """Rules only, beside rules and model."""
    return (
        Side("rules only", curve(ruled), figures["rules_only_cost_per_1000_events_usd"]),
        Side("rules + model", curve(informed), figures["rules_and_model_cost_per_1000_events_usd"]),
    )
