"""Writes the calculated parts of the pages anew: ``make pages``, or ``python -m tests.pages``.

A page holds prose, and between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` what is calculated from the shipped price
list and figures, or read from the shipped contracts. Only that is replaced.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headgate_admin.cost.figures import load_book
from headgate_schemas import Contracts

from tests.pages.blocks import cost_blocks, scale_blocks
from tests.pages.governance import governance_blocks
from tests.pages.plot import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_admin.cost.figures import Book

DOCS: Final = Path(__file__).parents[2] / "docs"
PLOT: Final = DOCS / "diagrams" / "cost.svg"
_PLACE: Final = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """A page with its places filled.

    Raises:
        ValueError: A place has no block, or a block no place.
    """
    places = [match[2] for match in _PLACE.finditer(page)]
    if sorted(places) != sorted(blocks):
        raise ValueError(f"places and blocks differ: {sorted(set(places) ^ set(blocks))}")
    return _PLACE.sub(lambda match: f"{match[1]}{blocks[match[2]]}\n{match[3]}", page)


def pages(book: Book) -> dict[Path, str]:
    """Each page as it has to be."""
    blocks = {
        DOCS / "cost.md": cost_blocks(book),
        DOCS / "scale.md": scale_blocks(book),
        DOCS / "governance.md": governance_blocks(Contracts.load()),
    }
    return {path: filled(path.read_text(encoding="utf-8"), of_it) for path, of_it in blocks.items()}


def main() -> int:
    """Write pages and plot."""
    book = load_book()
    for path, text in pages(book).items():
        path.write_text(text, encoding="utf-8")
    draw(PLOT, book)
    return 0


if __name__ == "__main__":
    sys.exit(main())
