"""Replay of files: rows through a mapping, sorted, spread and moved in time; or JSON lines that already are events."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from headgate_schemas import Violation, field_getter

from headgate_producer.candidates import Candidate
from headgate_producer.rowmapper import CellError, RowMapper
from headgate_producer.timeline import fit, millis, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headgate_schemas import TopicContract

    from headgate_producer.files import Row, RowFile
    from headgate_producer.mapping import TimeSource

TimedRow = tuple[int, "Row"]


def replay(
    file: RowFile, mapper: RowMapper, time: TimeSource, *, now_ms: int, limit: int | None = None
) -> Iterator[Candidate]:
    """Candidates of a mapped file, by time where the mapping says so.

    Args:
        file: Its rows.
        mapper: The mapping, compiled for this file.
        time: How the mapping moves times.
        now_ms: What ``end: now`` means; the same value gives the same events.
        limit: Rows offered; of a sorted file the earliest.

    Yields:
        Rows that cannot be mapped come first, with their fault, unless the file streams.

    Raises:
        FileError: The file cannot be read to its end.
    """
    if time.streams:
        for row in islice(file, limit):
            timed = _timed(file, mapper, row)
            yield timed if isinstance(timed, Candidate) else _candidate(file, mapper, *timed)
        return
    rows: list[TimedRow] = []
    refused = 0
    for row in file:
        timed = _timed(file, mapper, row)
        if isinstance(timed, Candidate):
            refused += 1
            yield timed
        else:
            rows.append(timed)
    keep = None if limit is None else max(limit - refused, 0)
    for moved_ms, row in _moved(rows, time, now_ms, keep):
        yield _candidate(file, mapper, moved_ms, row)


def replay_events(file: RowFile, topic: TopicContract) -> Iterator[Candidate]:
    """Candidates of a JSON lines file whose objects already are events of the topic's record, in the file's order."""
    time_of = field_getter(topic.fields.event_time) if topic.fields.event_time else None
    for row in file:
        if row.fault is not None:
            yield _refused(file, row, Violation("", "row", row.fault))
            continue
        time = time_of(row.cells) if time_of is not None else None
        yield Candidate(time if isinstance(time, int) else 0, row.cells, file.name, row.number, row.cells)


def _timed(file: RowFile, mapper: RowMapper, row: Row) -> TimedRow | Candidate:
    if row.fault is not None:
        return _refused(file, row, Violation("", "row", f"the row {row.fault}"))
    try:
        return mapper.time_ms(row), row
    except CellError as error:
        return _refused(file, row, error.violation)


def _moved(rows: list[TimedRow], time: TimeSource, now_ms: int, keep: int | None) -> Iterable[TimedRow]:
    if time.order == "time" or time.resolution_s is not None:
        rows.sort(key=lambda timed: timed[0])
    if keep is not None:
        del rows[keep:]
    times = [recorded_ms for recorded_ms, _ in rows]
    if time.resolution_s is not None:
        times = spread(times, round(time.resolution_s * 1000))
    if time.end is not None:
        end_ms = now_ms if time.end == "now" else millis(time.end)
        times = fit(times, end_ms, _span_ms(times, time))
    return zip(times, (row for _, row in rows), strict=True)


def _span_ms(times: list[int], time: TimeSource) -> int | None:
    if time.span_s is not None:
        return round(time.span_s * 1000)
    if time.compression is not None and times:
        return round((max(times) - min(times)) / time.compression)
    return None


def _candidate(file: RowFile, mapper: RowMapper, time_ms: int, row: Row) -> Candidate:
    try:
        event = mapper.event(row, time_ms)
        return Candidate(time_ms, event, file.name, row.number, row.cells, file.columns, mapper.label(row))
    except CellError as error:
        return _refused(file, row, error.violation, time_ms)


def _refused(file: RowFile, row: Row, fault: Violation, time_ms: int = 0) -> Candidate:
    return Candidate(time_ms, None, file.name, row.number, row.cells, file.columns, fault=fault)
