"""``headgate eval``: gate a change of the agent's rules, policy, features, fallback or guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headgate_agent_risk.context import load_context
from headgate_agent_risk.evals.cases import load_bounds, load_golden
from headgate_agent_risk.evals.measure import Evaluation
from headgate_agent_risk.evals.report import missed, table, write

app = typer.Typer(add_completion=False, help="Evaluate the risk agent on its golden set and on generated traffic.")
_SCOPE = "No model was asked: grey events went to the fallback, and the guard was given the laxest answer there is."


@app.callback(invoke_without_command=True)
def evaluate(
    events: Annotated[int, typer.Option(min=5_000, help="Generated events.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated events.")] = 7,
    root: Annotated[Path, typer.Option(help="Where build/eval/risk.json is written.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure precision and recall by tier; exits 1 when a figure misses its bound."""
    context = load_context(model_id="none")
    evaluation = Evaluation(context)
    figures, surprises = evaluation.golden(load_golden())
    figures |= evaluation.generated(seed=seed, events=events)
    bounds = load_bounds()
    path = write(root, figures, version=context.version, surprises=surprises)
    failed = missed(figures, bounds)
    if as_json:
        typer.echo(json.dumps({"figures": figures, "missed": failed, "surprises": surprises}))
    else:
        console = Console()
        console.print(table(figures, bounds))
        for surprise in surprises:
            console.print(f"  {surprise}", markup=False, highlight=False)
        console.print(f"{_SCOPE} Written: {path}")
    if failed:
        typer.echo(f"missed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
