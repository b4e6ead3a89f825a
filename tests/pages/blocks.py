"""The calculated parts of docs/cost.md and docs/scale.md, as Markdown by the name of their place on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headgate_admin.cost import breakeven, comparison, scale
from headgate_admin.cost.alternatives.models import BILLS
from headgate_admin.cost.estimate import estimate
from headgate_admin.cost.tables import Sheet, usd
from headgate_admin.cost.workload import make_workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_admin.cost.figures import Book, FigureList

USUAL: Final = 1_000.0
LARGE: Final = 100_000.0
_AT_LARGE: Final = ("node", "broker", "retention")


def cost_blocks(book: Book) -> dict[str, str]:
    """Those of docs/cost.md; nodes, brokers and retention at a rate where they differ."""
    usual, large = make_workload(events_per_s=USUAL), make_workload(events_per_s=LARGE)
    sheets = [sheet for sheet in breakeven.sheets(usual, book) if sheet.name not in _AT_LARGE]
    sheets += [sheet for sheet in breakeven.sheets(large, book) if sheet.name in _AT_LARGE]
    sheets += [comparison.by_rate(usual, book), comparison.crossings(usual, book)]
    return {
        "estimate": _estimate(book),
        "bills": _bills(book),
        "prices": _prices(book),
        "models": _models(book),
        "measured": _figures(book.measured, assumed=False),
        "assumptions": _figures(book.measured, assumed=True),
        "sources": _sources(book),
        **{sheet.name: sheet_markdown(sheet) for sheet in sheets},
    }


def scale_blocks(book: Book) -> dict[str, str]:
    """Those of docs/scale.md."""
    return {sheet.name: sheet_markdown(sheet) for sheet in [*scale.sheets(book), scale.limits(book)]}


def sheet_markdown(sheet: Sheet) -> str:
    """A sheet with its title and note."""
    parts = [f"**{sheet.title}**", markdown(sheet.columns, sheet.rows), sheet.note]
    return "\n\n".join(part for part in parts if part)


def markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    heads = list(columns)
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _estimate(book: Book) -> str:
    found = estimate(make_workload(events_per_s=USUAL), book)
    rows = [
        (
            entry.line.name,
            entry.line.quantity,
            *(usd(amount) for amount in (entry.fixed_usd, entry.variable_usd, found.per_million(entry.variable_usd))),
        )
        for entry in found.entries
    ]
    amounts = found.fixed_usd, found.variable_usd, found.per_million(found.variable_usd)
    rows.append(("**all**", f"**{usd(found.per_million(found.monthly_usd))} a million events**", *map(usd, amounts)))
    return markdown(("line", "quantity", "fixed a month", "with events a month", "a million events"), rows)


def _bills(book: Book) -> str:
    work = make_workload(events_per_s=USUAL)
    rows = [
        (name, line.name, line.quantity, usd(line.monthly_usd))
        for name, make in BILLS.items()
        if name != "Headgate"
        for line in make(work, book)
    ]
    return markdown(("", "line", "quantity", "a month"), rows)


def _prices(book: Book) -> str:
    rows = [
        (f"`{name}`", f"{figure.value:g}", figure.unit, f"[page]({figure.page})", _origin(book.prices, name))
        for name, figure in book.prices.figures.items()
    ]
    return markdown(("price", "value", "unit", "vendor's page", "read in"), rows)


def _models(book: Book) -> str:
    rows = [(f"`{name}`", f"{price.input:g}", f"{price.output:g}") for name, price in book.prices.models.items()]
    return markdown(("model", "US$ a million tokens in", "out"), rows)


def _figures(figures: FigureList, *, assumed: bool) -> str:
    rows = [
        (f"`{name}`", f"{figure.value:,g}", figure.unit, _origin(figures, name))
        for name, figure in figures.figures.items()
        if (figure.assumption is not None) == assumed
    ]
    return markdown(("figure", "value", "unit", "why" if assumed else "source"), rows)


def _origin(figures: FigureList, name: str) -> str:
    found = figures.figures[name]
    return f"`{found.source}`" if found.source else f"*assumed:* {found.assumption}"


def _sources(book: Book) -> str:
    known = {**book.prices.sources, **book.measured.sources}
    rows = [(f"`{name}`", source.what, str(source.date or "undated")) for name, source in sorted(known.items())]
    return markdown(("source", "what it is", "of"), rows)
