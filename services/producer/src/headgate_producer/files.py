"""Rows out of files: delimited text, CSV and JSON lines, plain or gzip, read one at a time."""

from __future__ import annotations

import csv
import gzip
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Layout(BaseModel):
    """How a file's rows and columns are told apart.

    Attributes:
        format: ``csv`` (quotes as in RFC 4180), ``delimited`` (no quotes) or ``json_lines`` (an object a line).
        delimiter: Between columns; None is a comma in ``csv`` and any run of blanks in ``delimited``.
        header: The first line names the columns; not for ``json_lines``.
        columns: Names of the columns where no header does.
        encoding: Of the text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["csv", "delimited", "json_lines"]
    delimiter: str | None = Field(default=None, min_length=1)
    header: bool = True
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _columns_are_known(self) -> Layout:
        if self.format != "json_lines" and self.header == bool(self.columns):
            raise ValueError("name the columns in one place: `header: true`, or `header: false` with `columns: [...]`")
        if self.format == "csv" and self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError("`delimiter` of a csv file is one character")
        return self


class Row(NamedTuple):
    """A row as read.

    Attributes:
        number: From 1; the header and blank lines are not counted.
        cells: Text by column position, or the object of a JSON line; what could be read where ``fault`` is set.
        fault: Why the row cannot be used, None where it can.
    """

    number: int
    cells: Any
    fault: str | None


class FileError(ValueError):
    """A file cannot be read as its layout says; the text says what to do."""


class RowFile:
    """A file of rows.

    Attributes:
        path: The file.
        name: Its name without folders.
        columns: Names of the columns, None for JSON lines.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        """Read the header.

        Raises:
            FileError: The file is missing, no text of that encoding, not gzip though named so, or has no header.
        """
        self.path = path
        self.name = path.name
        self._layout = layout
        self.columns: tuple[str, ...] | None = None
        if layout.format != "json_lines":
            self.columns = layout.columns or self._header()

    def __iter__(self) -> Iterator[Row]:
        """Rows in the file's order.

        Raises:
            FileError: The file cannot be read to its end.
        """
        with self._translated(), self._open() as text:
            yield from _json_lines(text) if self.columns is None else self._delimited(text, self.columns)

    def _header(self) -> tuple[str, ...]:
        with self._translated(), self._open() as text:
            for names in self._split(text):
                return tuple(name.strip() for name in names)
        raise FileError(f"{self.path}: the file is empty; its layout says that the first line names the columns")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            raise FileError(f"{self.path}: cannot be read: {error}") from error
        except UnicodeDecodeError as error:
            raise FileError(
                f"{self.path}: is no {self._layout.encoding} text; set `encoding` in the mapping"
            ) from error
        except csv.Error as error:
            raise FileError(f"{self.path}: is no CSV: {error}; check `delimiter` in the mapping") from error

    def _open(self) -> TextIO:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rt", encoding=self._layout.encoding, newline="")
        return self.path.open("rt", encoding=self._layout.encoding, newline="")

    def _split(self, text: TextIO) -> Iterator[list[str]]:
        delimiter = self._layout.delimiter
        if self._layout.format == "csv":
            return (cells for cells in csv.reader(text, delimiter=delimiter or ",") if cells)
        lines = (line.rstrip("\r\n") for line in text)
        return (line.split(delimiter) for line in lines if line and not line.isspace())

    def _delimited(self, text: TextIO, columns: tuple[str, ...]) -> Iterator[Row]:
        width = len(columns)
        rows = self._split(text)
        if not self._layout.columns:
            next(rows, None)
        for number, cells in enumerate(rows, 1):
            fault = None if len(cells) == width else f"has {len(cells)} columns where {width} are expected: {columns}"
            yield Row(number, cells, fault)


def _json_lines(text: TextIO) -> Iterator[Row]:
    lines = (line for line in text if not line.isspace())
    for number, line in enumerate(lines, 1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Row(number, line.rstrip("\r\n"), f"is no JSON: {error}")
            continue
        yield Row(number, value, None if isinstance(value, dict) else "is no JSON object")
