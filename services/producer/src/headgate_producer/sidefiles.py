"""Files beside the traffic: what was refused and why, and what the events truly are. JSON lines."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class JsonLines:
    """A JSON lines file that is written; does nothing where no file is wanted."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file

    def write(self, **fields: Any) -> None:
        """Append one object."""
        if self._file is not None:
            # What JSON cannot hold (a row of odd types) is shown as text: the entry matters more than its form.
            self._file.write(orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def json_lines(path: Path | None) -> Iterator[JsonLines]:
    """Open a JSON lines file for writing, its folders made; an existing one is replaced. None opens nothing."""
    if path is None:
        yield JsonLines(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        yield JsonLines(file)
