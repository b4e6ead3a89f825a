"""``headgate agent eval``: gate a change of the agent's rules, policy, features, fallback, guard or tools."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer
from rich.console import Console

from headgate_agent_risk.agent import RiskAgent
from headgate_agent_risk.context import load_context
from headgate_agent_risk.evals.approval import NO_MODEL, approve
from headgate_agent_risk.evals.asking import CallTimes
from headgate_agent_risk.evals.cases import load_bounds, load_golden
from headgate_agent_risk.evals.injection import InjectionEvaluation, load_injections
from headgate_agent_risk.evals.measure import Evaluation, Figures, Price, latency
from headgate_agent_risk.evals.report import missed, table, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel

    from headgate_agent_risk.context import RiskContext
    from headgate_agent_risk.evals.cases import Bound
    from headgate_agent_risk.evals.plot import Side

app = typer.Typer(
    add_completion=False, help="Evaluate the risk agent on golden events, generated traffic and injections."
)


class Part(enum.StrEnum):
    """What is evaluated; each writes the report of its name."""

    RISK = "risk"
    INJECTION = "injection"


class Measured(NamedTuple):
    """One part, measured.

    Attributes:
        figures: The figures.
        surprises: A line for each case that came out otherwise than it should.
        sides: What the plot compares; None where there is nothing to compare.
    """

    figures: Figures
    surprises: list[str]
    sides: Sequence[Side] | None = None


@app.callback(invoke_without_command=True)
def evaluate(  # noqa: PLR0917 (typer makes an option of each)
    only: Annotated[Part | None, typer.Option(help="One part; both without it.")] = None,
    events: Annotated[int, typer.Option(min=5_000, help="Generated events.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated events.")] = 7,
    endpoint: Annotated[str | None, typer.Option(help="Bedrock Runtime URL; without it no model is asked.")] = None,
    model_id: Annotated[str, typer.Option(help="Model asked at the endpoint.")] = "us.amazon.nova-micro-v1:0",
    region: Annotated[str, typer.Option(help="Region of the endpoint.")] = "us-east-1",
    price: Annotated[
        tuple[float, float], typer.Option(help="US dollars per million tokens in and out, nova-micro's of 2026-10.")
    ] = (0.035, 0.14),
    root: Annotated[Path, typer.Option(help="Where build/eval/*.json are written.")] = Path(),
    plot: Annotated[
        Path | None, typer.Option(help="Where the plot is written, SVG; build/eval/risk.svg without it.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Pin the agent's version where every figure keeps its bound.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure precision and recall, and try to talk the agent round; exits 1 when a figure misses its bound."""
    if accept and (only or not endpoint):
        raise typer.BadParameter(
            "a version is accepted on all figures: name an endpoint, and no part", param_hint="--accept"
        )
    context = load_context(model_id if endpoint else NO_MODEL)
    model = _model(endpoint, model_id, region) if endpoint else None
    passed: dict[str, Figures] = {}
    failed: list[str] = []
    for part in [only] if only else list(Part):
        measured = _measured(part, context, model, events=events, seed=seed, price=Price(*price))
        if measured.sides is not None:
            measured_on = f"{events:,} generated events, model {model_id} at {urlsplit(endpoint or '').hostname}"
            _draw(plot or root / "build" / "eval" / "risk.svg", measured.sides, context, measured_on)
        bounds = _bounds(part, model)
        missing = missed(measured.figures, bounds)
        _report(part, measured, context, root, bounds=bounds, missing=missing, plain=as_json)
        passed[part.value] = {name: value for name, value in measured.figures.items() if name in bounds}
        failed += missing
    if failed:
        typer.echo(f"missed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
    if accept:
        typer.echo(f"accepted: version {approve(passed)}", err=True)


def _bounds(part: Part, model: BaseChatModel | None) -> dict[str, Bound]:
    known = load_bounds()
    return known[part.value] | (known.get(f"{part.value}_model", {}) if model else {})


def _measured(
    part: Part, context: RiskContext, model: BaseChatModel | None, *, events: int, seed: int, price: Price
) -> Measured:
    if part is Part.INJECTION:
        return Measured(*InjectionEvaluation(context, load_injections()).run(model))
    evaluation = Evaluation(context)
    figures, surprises = evaluation.golden(load_golden())
    if model is None:
        return Measured(figures | evaluation.generated(seed=seed, events=events).figures, surprises)
    from headgate_agent_risk.evals.plot import sides_of  # noqa: PLC0415 - an optional dependency

    calls = CallTimes(model)
    found = evaluation.generated(seed=seed, events=events, agent=RiskAgent(model, context), price=price)
    figures |= found.figures | latency("model_call_latency", calls.taken_ms)
    return Measured(figures, surprises, sides_of(figures, found.ruled, found.informed or found.ruled))


def _draw(path: Path, sides: Sequence[Side], context: RiskContext, measured_on: str) -> None:
    from headgate_agent_risk.evals.plot import draw  # noqa: PLC0415 - an optional dependency

    draw(path, sides, flag_from=context.policy.risk_flag_from, subtitle=f"agent risk, {measured_on}")
    typer.echo(f"Written: {path}", err=True)


def _report(
    part: Part,
    measured: Measured,
    context: RiskContext,
    root: Path,
    *,
    bounds: Mapping[str, Bound],
    missing: Sequence[str],
    plain: bool,
) -> None:
    """Write and show a part's figures."""
    model_id = None if context.model_id == NO_MODEL else context.model_id
    figures, surprises = measured.figures, measured.surprises
    details: dict[str, Any] = {"agent_version": context.version, "model_id": model_id, "surprises": surprises}
    path = write(root, part.value, figures, details)
    if plain:
        document = {"part": part.value, "figures": figures, "missed": missing, "surprises": surprises}
        typer.echo(json.dumps(document))
        return
    console = Console()
    console.print(table(f"risk agent, {part.value}: {model_id or 'no model asked'}", figures, bounds))
    for surprise in surprises:
        console.print(f"  {surprise}", markup=False, highlight=False)
    console.print(f"Written: {path}")


def _model(url: str, model_id: str, region: str) -> BaseChatModel:
    try:
        import matplotlib as _  # noqa: F401, ICN001, PLC0415 - said before anything is measured

        from headgate_agent_risk.evals.endpoint import bedrock_model  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise typer.BadParameter(
            "asking an endpoint needs langchain-aws and matplotlib: install headgate-agent-risk[evals]",
            param_hint="--endpoint",
        ) from error
    return bedrock_model(url, model_id=model_id, region=region)
