"""Measures the tree against its own size budgets and writes build/check/budgets.json.

Budgets: no file above 400 lines, no function above 60. Reported beside them: the 90th percentiles, and the shares of
comments and docstrings among all lines.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_local.figures import write_figures
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "agents", "services", "deploy", "tests")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measure:
    """Sizes of one file, in lines; ``functions`` maps name to lines."""

    path: Path
    lines: int
    comments: int
    docstrings: int
    functions: dict[str, int]
    annotated: int
    definitions: int


def sources() -> Iterator[Path]:
    """Every Python file of the project."""
    for folder in FOLDERS:
        yield from (p for p in sorted((ROOT / folder).rglob("*.py")) if "build" not in p.parts)


def docstring_lines(tree: ast.AST) -> int:
    """Lines of the docstrings in a tree."""
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, Documented) and node.body and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            total += (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def measure(path: Path) -> Measure:
    """Measure one file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    definitions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return Measure(
        path=path.relative_to(ROOT),
        lines=text.count("\n"),
        comments=sum(token.type == tokenize.COMMENT for token in tokens),
        docstrings=docstring_lines(tree),
        functions={f"{n.name}:{n.lineno}": (n.end_lineno or n.lineno) - n.lineno + 1 for n in definitions},
        annotated=sum(n.returns is not None for n in definitions),
        definitions=len(definitions),
    )


def percentile_90(values: list[int]) -> float:
    """The 90th percentile of at least one value."""
    return statistics.quantiles(values, n=10, method="inclusive")[8] if len(values) > 1 else float(values[0])


def figures(measures: list[Measure]) -> dict[str, float]:
    """The figures of the whole tree."""
    files = [m.lines for m in measures if m.lines]
    functions = [size for m in measures for size in m.functions.values()]
    lines = sum(files)
    return {
        "files": len(measures),
        "file_lines_p90": percentile_90(files),
        "file_lines_max": max(files),
        "functions": len(functions),
        "function_lines_p90": percentile_90(functions),
        "function_lines_max": max(functions),
        "comment_share": round(sum(m.comments for m in measures) / lines, 4),
        "docstring_share": round(sum(m.docstrings for m in measures) / lines, 4),
        "return_annotation_share": round(sum(m.annotated for m in measures) / max(1, len(functions)), 4),
    }


def breaches(measures: list[Measure]) -> list[str]:
    """What is over budget, in words."""
    found = [f"{m.path}: {m.lines} lines (at most {FILE_LINES_MAX})" for m in measures if m.lines > FILE_LINES_MAX]
    for m in measures:
        for name, size in m.functions.items():
            if size > FUNCTION_LINES_MAX:
                found.append(f"{m.path}: {name} has {size} lines (at most {FUNCTION_LINES_MAX})")
    return found


def main() -> int:
    """Print the table, write the figures, and return 1 where a budget is missed."""
    measures = [measure(path) for path in sources()]
    result = figures(measures)
    table = Table("figure", "value", title="Size budgets")
    for name, value in result.items():
        table.add_row(name, f"{value:g}")
    console = Console()
    console.print(table)
    over = breaches(measures)
    for line in over:
        console.print(line, style="red")
    console.print(str(write_figures("check", "budgets", result, root=ROOT).relative_to(ROOT)), style="dim")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
