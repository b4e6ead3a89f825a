"""The writer's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headgate_runtime.metrics import Metrics

_AGES_S: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_COMMIT_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class AgeHistogram(Collector):
    """A histogram that takes a column at a time: one Python call a row would cost as much as decoding it."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._series: dict[tuple[str, ...], tuple[list[int], float]] = {}

    def observe(self, labels: Sequence[str], ages_s: pa.ChunkedArray) -> None:
        """Count ages, in seconds; nulls do not count."""
        counts, total = self._series.get(tuple(labels), ([0] * (len(_AGES_S) + 1), 0.0))
        below = [pc.sum(pc.less_equal(ages_s, bound)).as_py() or 0 for bound in _AGES_S]
        below.append(len(ages_s) - ages_s.null_count)
        merged = [count + more for count, more in zip(counts, below, strict=True)]
        self._series[tuple(labels)] = (merged, total + (pc.sum(ages_s).as_py() or 0.0))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the histogram for a scrape, which is on another thread."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        bounds = [*map(str, _AGES_S), "+Inf"]
        for labels, (counts, total) in dict(self._series).items():
            family.add_metric(labels, buckets=list(zip(bounds, counts, strict=True)), sum_value=total)
        yield family


class WriterMetrics:
    """What the writer counts: records by topic, and what is committed by table.

    Attributes:
        rows: Rows committed.
        dead_letters: Records sent to the dead letters, also by cause.
        commits: Steps of the committer, by outcome: landed, conflict, fenced, unknown, unavailable.
        commit_s: Seconds from a batch's closing to its landing, back-offs included.
        files: Data files committed; ``file_bytes`` is their size.
        stale: Records that came although they were stored or buffered already.
        buffered: Rows waiting, decoded, the batch on its way included; ``buffered_bytes`` is their size.
        uncommitted_age_s: Age of the oldest record that is not in the table yet; alerts on stalls read it.
        parked: 1 while the table waits for a person, 0 otherwise.
        quality_windows: Commits judged by an expectation of the table's contract, by outcome: met, missed.
        quality_value: What the last of them had.
        freshness: Ages of rows when they land, ``since`` their ``event`` time or the ``broker`` timestamp.
    """

    def __init__(self, metrics: Metrics) -> None:
        by_table = ("table",)
        self.rows = metrics.counter("writer_rows", "Rows committed.", by_table)
        self.dead_letters = metrics.counter("writer_dead_letters", "Records dead-lettered.", ("topic", "cause"))
        self.commits = metrics.counter("writer_commit_steps", "Commit steps by outcome.", ("table", "outcome"))
        self.commit_s = metrics.histogram("writer_commit_seconds", "Batch closed to landed.", by_table, _COMMIT_S)
        self.files = metrics.counter("writer_files", "Data files committed.", by_table)
        self.file_bytes = metrics.counter("writer_file_bytes", "Bytes of data files committed.", by_table)
        self.stale = metrics.counter("writer_stale_records", "Records below the position, passed over.", ("topic",))
        self.buffered = metrics.gauge("writer_buffered_rows", "Rows decoded and not committed.", by_table)
        self.buffered_bytes = metrics.gauge("writer_buffered_bytes", "Bytes decoded and not committed.", by_table)
        self.uncommitted_age_s = metrics.gauge("writer_uncommitted_age_seconds", "Oldest uncommitted record.", by_table)
        self.parked = metrics.gauge("writer_parked_tables", "1 while the table waits for a person.", by_table)
        self.quality_windows = metrics.counter(
            "writer_quality_windows", "Commits judged by an expectation.", ("table", "expectation", "outcome")
        )
        self.quality_value = metrics.gauge(
            "writer_quality_value", "What an expectation measured last.", ("table", "expectation")
        )
        self.freshness = AgeHistogram("headgate_writer_freshness_seconds", "Row age when it lands.", ("table", "since"))
        metrics.registry.register(self.freshness)
