"""What every command prints: tables for people or one JSON document for programs, and errors with their exit codes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import typer
from headgate_runtime.errors import ConfigurationError, HeadgateError, RejectedError, UnavailableError
from headgate_schemas import ContractError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


class ExitCode(IntEnum):
    """What the command line's exit code says."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3


class Output:
    """Prints a command's result: to standard output, as a table or as JSON; notes and errors go to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._people = Console(soft_wrap=True, highlight=False)
        self._errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def note(self, text: str) -> None:
        """Tell a person something beside the result."""
        self._errors.print(Text(text, style="dim"))

    def error(self, problems: Sequence[str]) -> None:
        """Say what was wrong, one line a problem; as JSON also on standard output, for the program that asked."""
        for problem in problems:
            self._errors.print(Text.assemble(("error: ", "bold red"), problem))
        if self._as_json:
            self._print_json({"errors": list(problems)})

    def result(self, document: Mapping[str, Any], summary: str, table: Table | None = None) -> None:
        """Print a command's result.

        Args:
            document: All of it, for ``--json``.
            summary: One line for people.
            table: What stands above that line; left out where it has no rows.
        """
        if self._as_json:
            self._print_json(document)
            return
        if table is not None and table.row_count:
            self._people.print(table)
        self._people.print(Text(summary))

    def results(self, document: Mapping[str, Any], parts: Iterable[tuple[Table, str]]) -> None:
        """Print a result of several tables.

        Args:
            document: All of it, for ``--json``.
            parts: Each table with what stands below it.
        """
        if self._as_json:
            self._print_json(document)
            return
        for table, note in parts:
            self._people.print(table)
            self._people.print(Text(note))

    def confirm(self, question: str, show: Callable[[], None], *, yes: bool) -> None:
        """Ask a person whether to go on.

        Args:
            question: What is about to happen.
            show: Shows them what it would do.
            yes: They have said so already, and are shown nothing.

        Raises:
            ConfigurationError: Nobody can be asked, for a program reads the output.
            RejectedError: They do not want it.
        """
        if yes:
            return
        if self._as_json:
            raise ConfigurationError("Add --yes, or --dry-run to look first: with --json nobody is asked.")
        show()
        if not typer.confirm(question, err=True):
            raise RejectedError("Nothing was changed.")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far something is while it lasts; gives a function that takes how much of the total is done."""
        bar = Progress(
            *_COLUMNS, console=self._errors, transient=True, disable=self._as_json or not self._errors.is_terminal
        )
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    @staticmethod
    def _print_json(document: Mapping[str, Any]) -> None:
        typer.echo(json.dumps(document, indent=2))


def table_of(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of plain texts; None is shown as nothing."""
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table


@contextmanager
def reporting(*, as_json: bool) -> Iterator[Output]:
    """Give a command its output, and turn the errors Headgate raises on purpose into texts and exit codes."""
    output = Output(as_json=as_json)
    try:
        yield output
    except ContractError as error:
        output.error(error.problems)
        raise typer.Exit(ExitCode.REFUSED) from None
    except HeadgateError as error:
        output.error([str(error)])
        raise typer.Exit(_code(error)) from None


def _code(error: HeadgateError) -> ExitCode:
    match error:
        case UnavailableError():
            return ExitCode.UNAVAILABLE
        case ConfigurationError():
            return ExitCode.USAGE
        case _:
            return ExitCode.REFUSED
