"""The commands of ``headgate cost``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from headgate_admin.cost import breakeven, comparison, scale
from headgate_admin.cost.estimate import estimate, price
from headgate_admin.cost.figures import BENCH, load_book
from headgate_admin.cost.live import live
from headgate_admin.cost.tables import rate, usd
from headgate_admin.cost.workload import Workload, events_per_second, make_workload
from headgate_admin.options import Json  # noqa: TC001  # typer reads it
from headgate_admin.output import Output, reporting, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from headgate_admin.cost.estimate import Entry, Estimate
    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.tables import Sheet


class _EstimatesByDefault(TyperGroup):
    """``headgate cost --rate 1000/s`` is ``headgate cost estimate --rate 1000/s``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["estimate", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_EstimatesByDefault,
    help="What the pipeline costs at list prices, and what it has spent. Calculated from measured figures.",
)
app.command()(live)

_COLUMNS: Final = ("line", "quantity", "fixed a month", "events a month", "a million events", "prices of")
_CHOICES: Final = Workload.model_fields

Rate = Annotated[str, typer.Option(help="Events: 1000/s, 60k/min, 5M/day.")]
Share = Annotated[float | None, typer.Option(help=f"Share of events at the model [{_CHOICES['model_share'].default}].")]
Model = Annotated[str | None, typer.Option(help=f"As the price list has it [{_CHOICES['model'].default}].")]
Interval = Annotated[float | None, typer.Option("--commit-interval", help="Seconds between a writer's commits [1].")]
Retention = Annotated[float | None, typer.Option("--retention-days", help="Days Kafka keeps events [7].")]
TableDays = Annotated[float | None, typer.Option(help="Days the table keeps rows [365].")]
Replication = Annotated[int | None, typer.Option(help="Copies of a partition [3].")]
Partitions = Annotated[int | None, typer.Option(help="Of a topic that grows [what the replicas need, 4 at least].")]
Node = Annotated[str | None, typer.Option(help=f"EC2 type of the nodes [{_CHOICES['node'].default}].")]
Broker = Annotated[str | None, typer.Option(help=f"MSK broker type [{_CHOICES['broker'].default}].")]
Spot = Annotated[bool, typer.Option("--spot", help="Nodes beyond the first three are Spot instances.")]
Egress = Annotated[str | None, typer.Option(help="The way to AWS's APIs: endpoints or nat [endpoints].")]
Region = Annotated[str | None, typer.Option(help="Must be the price list's; a check, not a choice.")]
Prices = Annotated[Path | None, typer.Option(help="Price list to use instead of the shipped one.")]
Measured = Annotated[Path | None, typer.Option(help="Figures and assumptions to use instead of the shipped ones.")]
Bench = Annotated[
    Path, typer.Option(help="Figures of benchmarks of your own; where there are none, the shipped ones count.")
]


@app.command("estimate")
def estimate_command(
    *,
    rate: Rate = "1000/s",
    share: Share = None,
    model: Model = None,
    commit_interval: Interval = None,
    retention: Retention = None,
    table_days: TableDays = None,
    replication: Replication = None,
    partitions: Partitions = None,
    node: Node = None,
    broker: Broker = None,
    spot: Spot = False,
    egress: Egress = None,
    region: Region = None,
    prices: Prices = None,
    measured: Measured = None,
    bench: Bench = BENCH,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each price was read.")] = False,
    json: Json = False,
) -> None:
    """Say what a rate of events costs, line by line: fixed a month, and with the events."""
    with reporting(as_json=json) as output:
        book = load_book(prices, bench, region, measured=measured)
        work = make_workload(
            events_per_s=events_per_second(rate),
            model_share=share,
            model=model,
            commit_interval_s=commit_interval,
            retention_days=retention,
            table_days=table_days,
            replication=replication,
            partitions=partitions,
            node=node,
            broker=broker,
            spot=spot,
            egress=egress,
        )
        found = estimate(work, book)
        _note(output, book)
        parts = [(table_of(_COLUMNS, (_cells(found, entry, book) for entry in found.entries)), _summary(found))]
        if sources:
            parts.append((table_of(("price", "US$", "for", "page", "read in"), _sources(found, book)), ""))
        output.results(found.document(book), parts)


@app.command("break-even")
def break_even(
    *,
    rate: Rate = "1000/s",
    share: Share = None,
    model: Model = None,
    region: Region = None,
    prices: Prices = None,
    measured: Measured = None,
    bench: Bench = BENCH,
    json: Json = False,
) -> None:
    """Show where a choice begins to pay: model, share at it, commit interval, nodes, brokers, retention, the way out."""
    with reporting(as_json=json) as output:
        book = load_book(prices, bench, region, measured=measured)
        work = make_workload(events_per_s=events_per_second(rate), model_share=share, model=model)
        _show(output, book, breakeven.sheets(work, book))


@app.command()
def compare(
    *,
    share: Share = None,
    model: Model = None,
    region: Region = None,
    prices: Prices = None,
    measured: Measured = None,
    bench: Bench = BENCH,
    json: Json = False,
) -> None:
    """Hold Headgate against other means to the same end, on list prices (docs/cost.md says what is assumed)."""
    with reporting(as_json=json) as output:
        book = load_book(prices, bench, region, measured=measured)
        work = make_workload(events_per_s=1.0, model_share=share, model=model)
        _show(output, book, [comparison.by_rate(work, book), comparison.crossings(work, book)])


@app.command("scale")
def scale_command(
    *, region: Region = None, prices: Prices = None, measured: Measured = None, bench: Bench = BENCH, json: Json = False
) -> None:
    """Show what grows from one event a second to a million, and which limit is met first."""
    with reporting(as_json=json) as output:
        book = load_book(prices, bench, region, measured=measured)
        _show(output, book, [*scale.sheets(book), scale.limits(book)])


def _cells(found: Estimate, entry: Entry, book: Book) -> tuple[str, ...]:
    amounts = entry.fixed_usd, entry.variable_usd, found.per_million(entry.variable_usd)
    dates = sorted({price(name, book)["dated"] for name in entry.line.prices})
    return entry.line.name, entry.line.quantity, *(usd(amount) for amount in amounts), ", ".join(dates)


def _sources(found: Estimate, book: Book) -> Iterator[tuple[str, ...]]:
    for name in dict.fromkeys(name for entry in found.entries for name in entry.line.prices):
        known = price(name, book)
        value = f"{known['value']:g}" if "value" in known else f"{known['input']:g}, {known['output']:g}"
        yield name, value, known["unit"].removeprefix("USD/"), known["page"], known["origin"]


def _summary(found: Estimate) -> str:
    return (
        f"{rate(found.work.events_per_s)}: {usd(found.monthly_usd)} a month, {usd(found.fixed_usd)} of it fixed; "
        f"{usd(found.per_million(found.variable_usd))} a million events with the events, "
        f"{usd(found.per_million(found.monthly_usd))} in all"
    )


def _note(output: Output, book: Book) -> None:
    output.note(
        f"List prices of {book.prices.region}, on demand. A calculation: what it counts with is in docs/cost.md."
    )
    if book.own:
        output.note(f"Measured here, not shipped: {', '.join(book.own)}")


def _show(output: Output, book: Book, sheets: Sequence[Sheet]) -> None:
    _note(output, book)
    output.results({sheet.name: sheet.document() for sheet in sheets}, map(_table, sheets))


def _table(sheet: Sheet) -> tuple[Table, str]:
    table = table_of(sheet.columns, sheet.rows)
    table.title, table.title_justify = sheet.title, "left"
    return table, sheet.note
