"""``headgate produce``: replays files and generates labelled traffic.

Exit codes: 0 done (refusals are counted, and listed in the rejects file); 1 an event was not delivered, or under
``--strict`` refused; 2 wrong use, file, mapping or configuration; 3 broker or registry does not answer; 130 interrupted.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from headgate_runtime.errors import ConfigurationError, HeadgateError, UnavailableError
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from headgate_producer.config import CommandSettings
from headgate_producer.runs import GeneratePlan, ReplayPlan, Run, execute
from headgate_producer.timeline import parse_iso
from headgate_producer.transmission import Summary

_FAILED: Final = 1
_WRONG: Final = 2
_AWAY: Final = 3
_INTERRUPTED: Final = 130
_REJECTS: Final = Path("build/producer/rejects.jsonl")
_LABELS: Final = Path("build/producer/labels.jsonl")
_HOUR_S: Final = 3600.0

app = typer.Typer(
    name="produce", help="Send events: replay a file, or generate labelled traffic.", no_args_is_help=True
)

Rate = Annotated[float | None, typer.Option(min=0.001, help="Events a second; as fast as it goes without.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Events taken in all.")]
Rejects = Annotated[Path, typer.Option(help="File of what was refused or not delivered, JSON lines.")]
Labels = Annotated[Path, typer.Option(help="File of what the events truly are, JSON lines; never in the events.")]
Now = Annotated[str | None, typer.Option(help="ISO 8601 time taken for now; the same one gives the same events.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 where any event was refused.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and no progress.")]
Generator = Annotated[str, typer.Option(help="Generator plug-in, by its entry point's name.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same generated events.")]


@app.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(help="CSV, delimited text or JSON lines; .gz too.")],
    *,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping: a name such as cdnow, or a .yaml file. Without: JSON lines of events.")
    ] = None,
    span_s: Annotated[
        float | None, typer.Option(min=0.001, help="Compress the file's times into the last seconds.")
    ] = None,
    generated: Annotated[int, typer.Option(min=0, help="Labelled events merged in, by time.")] = 0,
    generator: Generator = "risk",
    seed: Seed = 1,
    rate: Rate = None,
    limit: Limit = None,
    rejects: Rejects = _REJECTS,
    labels: Labels = _LABELS,
    now: Now = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Replay a file's rows as events."""
    plans: list[ReplayPlan | GeneratePlan] = [ReplayPlan(file, mapping, span_s)]
    if generated:
        plans.append(GeneratePlan(generator, generated, seed, span_s or _HOUR_S))
    _run(Run(tuple(plans), _now_ms(now), rate, limit, rejects, labels), strict=strict, as_json=as_json)


@app.command("generate")
def generate_command(
    *,
    events: Annotated[int, typer.Option(min=1, help="How many.")],
    span_s: Annotated[float, typer.Option(min=0.001, help="Seconds before now in which they occur.")] = _HOUR_S,
    generator: Generator = "risk",
    seed: Seed = 1,
    rate: Rate = None,
    limit: Limit = None,
    rejects: Rejects = _REJECTS,
    labels: Labels = _LABELS,
    now: Now = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Generate labelled events."""
    plans = (GeneratePlan(generator, events, seed, span_s),)
    _run(Run(plans, _now_ms(now), rate, limit, rejects, labels), strict=strict, as_json=as_json)


def _now_ms(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        return parse_iso(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time with its zone: {error}", param_hint="--now") from error


def _run(run: Run, *, strict: bool, as_json: bool) -> None:
    console = Console(stderr=True)
    summary = Summary()
    try:
        settings = CommandSettings()
        with _progress(console, shown=not as_json) as progress:
            task = progress.add_task("sending", total=run.limit, refused=0)

            def on_progress(seen: Summary) -> None:
                nonlocal summary
                summary = seen
                progress.update(task, completed=seen.read, refused=seen.refused.total())

            execute(run, settings, on_progress=on_progress)
    except KeyboardInterrupt:
        _report(console, run, summary, as_json=as_json)
        raise typer.Exit(_INTERRUPTED) from None
    except (ValueError, ConfigurationError) as error:
        raise _failure(console, error, _WRONG) from error
    except HeadgateError as error:
        raise _failure(console, error, _AWAY if isinstance(error, UnavailableError) else _FAILED) from error
    _report(console, run, summary, as_json=as_json)
    if summary.stopped:
        raise typer.Exit(_AWAY)
    if summary.undelivered or (strict and summary.refused):
        raise typer.Exit(_FAILED)


def _progress(console: Console, *, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.fields[refused]} refused"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not shown or not console.is_terminal,
    )


def _report(console: Console, run: Run, summary: Summary, *, as_json: bool) -> None:
    figures = summary.as_dict()
    if as_json:
        typer.echo(orjson.dumps({**figures, "rejects": str(run.rejects), "labels": str(run.labels)}))
        return
    typer.echo(
        f"{summary.acknowledged:,} of {summary.read:,} events acknowledged in {summary.seconds:.1f} s"
        f" ({figures['events_per_s']:,.0f} events/s)"
    )
    if summary.labelled:
        typer.echo(f"{summary.labelled:,} labels in {run.labels}")
    for rule, count in figures["refused_by_rule"].items():
        console.print(f"{count:,} refused by {rule}", style="yellow", highlight=False)
    if summary.undelivered:
        console.print(f"{summary.undelivered:,} not delivered", style="red", highlight=False)
    if summary.stopped:
        console.print(f"stopped: {summary.stopped}", style="red", highlight=False, markup=False)
    if summary.refused or summary.undelivered:
        console.print(f"each is in {run.rejects}, with its reason", highlight=False, markup=False)


def _failure(console: Console, error: Exception, code: int) -> typer.Exit:
    if isinstance(error, ValidationError):
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        error = ValueError("the configuration (HEADGATE_PRODUCER_...) is wrong: " + "; ".join(faults))
    console.print(f"{error}", style="red", highlight=False, markup=False)
    return typer.Exit(code)
