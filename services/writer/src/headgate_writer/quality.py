"""A table's expectations, held against the rows of each commit: a few passes of Arrow over the columns they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas import Expectation

    from headgate_writer.metrics import WriterMetrics

_MICROS = 1e6


class Quality:
    """Measures commits and counts which expectations they meet. What misses one is stored all the same: it happened."""

    def __init__(self, table: str, expectations: Sequence[Expectation], metrics: WriterMetrics) -> None:
        """Take a table's expectations.

        Args:
            table: Name of the table.
            expectations: Of its contract.
            metrics: Where values and outcomes go.
        """
        self._table = table
        self._expectations = expectations
        self._metrics = metrics

    def observe(self, rows: pa.Table, now_ms: float) -> None:
        """Judge the rows of a commit that has landed.

        Args:
            rows: As they were decoded, in any number of chunks.
            now_ms: When they landed, milliseconds since the epoch.
        """
        for each in self._expectations:
            found = self._measured(each, rows, now_ms)
            if found is not None:
                outcome = "met" if each.met(found) else "missed"
                self._metrics.quality_value.labels(self._table, each.name).set(found)
                self._metrics.quality_windows.labels(self._table, each.name, outcome).inc()

    @staticmethod
    def _measured(each: Expectation, rows: pa.Table, now_ms: float) -> float | None:
        """What the rows have; None where they are too few to say, or have nothing to measure."""
        if each.field is None:
            return int(rows.num_rows)
        column = _column(rows, each.field)
        if each.measure == "freshness_s":
            newest = pc.max(pc.cast(column, pa.int64())).as_py()
            return None if newest is None else float(now_ms / 1e3 - newest / _MICROS)
        return _of_column(each, column) if rows.num_rows >= each.least_rows else None


def _of_column(each: Expectation, column: Any) -> float | None:
    if each.measure == "null_share":
        return float(column.null_count / len(column))
    if each.measure == "mean":
        mean = pc.mean(column).as_py()
        return None if mean is None else float(mean)
    return float((pc.sum(pc.equal(column, pa.scalar(each.value, column.type))).as_py() or 0) / len(column))


def _column(rows: pa.Table, path: str) -> Any:
    first, *others = path.split(".")
    column: Any = rows.column(first)
    for name in others:
        column = pc.struct_field(column, name)
    return column
