"""The way of one event: source record, decisions, model calls, reviews, rows and the commits that stored them.

Rows come from the tables, records from their positions. Nothing that is tagged as personal is shown.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.errors import RejectedError, UnavailableError
from pyiceberg.expressions import EqualTo

from headgate_admin.deadletters.position import Position
from headgate_admin.lineage.storing import stored_by
from headgate_admin.tables.lakehouse import load_table
from headgate_admin.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headgate_runtime.records import Record
    from headgate_schemas import TopicContract
    from pyiceberg.table import Table

    from headgate_admin.lineage.calls import ModelCall
    from headgate_admin.reading import ReadAt

DECISION: Final = "agent_metadata"
PROCESSING: Final = "processing_metadata"
POSITION: Final = ("_topic", "_kafka_partition", "_offset")
INGESTED: Final = "_ingested_at"
# Headers that Headgate itself writes and that name nobody; of others, only that they are there.
_SHOWN_HEADERS: Final = frozenset({"event-id", "traceparent", "replayed-from"})

Row = dict[str, Any]


def rows_of(table: Table, column: str, event_id: str) -> list[Row]:
    """The rows of an event, the first revision first, with what is not personal of them.

    Raises:
        UnavailableError: The store does not answer.
    """
    found = _rows(table, column, event_id, (DECISION, PROCESSING, *POSITION, INGESTED))
    return sorted(found, key=lambda row: (row[DECISION]["revision"], row["_offset"]))


def outcomes_of(catalog: Mapping[str, str], contract: TopicContract, event_id: str) -> list[Row]:
    """The rows of what people decided on an event; none where nothing of the topic was ever stored.

    Raises:
        UnavailableError: Catalog or store do not answer.
    """
    if contract.table is None or contract.fields.event_id is None:
        return []
    try:
        table = load_table(catalog, contract.table.name)
    except RejectedError:
        return []
    return _rows(table, contract.fields.event_id, event_id, ("outcome", *POSITION))


def _rows(table: Table, column: str, event_id: str, fields: tuple[str, ...]) -> list[Row]:
    try:
        scan = table.scan(row_filter=EqualTo(term=column, value=event_id), selected_fields=fields)
        found: list[Row] = scan.to_arrow().to_pylist()
    except OSError as error:
        raise UnavailableError(f"the store does not give all of {'.'.join(table.name())}: {error!r}") from error
    return found


def position_of(row: Row) -> Position:
    """Where a row's record was."""
    return Position(*(row[name] for name in POSITION))


def source_of(row: Row) -> Position:
    """Where the record was that a row's decision was taken on."""
    processing = row[PROCESSING]
    return Position(processing["source_topic"], processing["source_partition"], processing["source_offset"])


def told(
    event_id: str,
    table: Table,
    rows: Sequence[Row],
    read_at: ReadAt,
    *,
    calls: Iterable[ModelCall],
    reviews: Sequence[Row],
) -> dict[str, Any]:
    """All of it, in JSON form.

    Args:
        event_id: The event.
        table: The table of the decided events.
        rows: The event's rows there, one or more.
        read_at: Reads a record; None where retention has taken it.
        calls: What models were asked for the event.
        reviews: The event's rows among the reviews' outcomes.
    """
    if not rows:
        raise RejectedError(
            f"No row of event {event_id} in {'.'.join(table.name())}: it is not stored yet, was never decided, or is a "
            "dead letter (`headgate dlq list`)."
        )
    revisions = [_revision(table, row, read_at) for row in rows]
    return {
        "event_id": event_id,
        "source": _record(source_of(rows[0]), read_at),
        "trace_id": rows[0][PROCESSING]["trace_id"],
        "model_calls": [call.document() for call in calls],
        "revisions": revisions,
        "reviews": [_review(row) for row in reviews],
        "table": ".".join(table.name()),
    }


def _revision(table: Table, row: Row, read_at: ReadAt) -> dict[str, Any]:
    stored, processing = stored_by(table.metadata, position_of(row)), row[PROCESSING]
    ingested_ms = _ms(processing["ingestion_time"])
    return {
        "revision": row[DECISION]["revision"],
        "decision": plain(row[DECISION]),
        "processing": plain(processing),
        "record": _record(position_of(row), read_at),
        "row_made": plain(row[INGESTED]),
        "stored_by": stored.document() if stored else None,
        # From the broker that took the source record to the commit that made the decision visible.
        "freshness_s": round((stored.committed_ms - ingested_ms) / 1000, 3) if stored and stored.exact else None,
    }


def _review(row: Row) -> dict[str, Any]:
    outcome = row["outcome"]
    return {
        "position": str(position_of(row)),
        **{name: plain(outcome[name]) for name in ("action", "decision", "priority", "decided_at")},
    }


def _record(position: Position, read_at: ReadAt) -> dict[str, Any]:
    record = read_at(*position)
    return {"position": str(position), "in_the_log": record is not None} | (_described(record) if record else {})


def _described(record: Record) -> dict[str, Any]:
    return {
        "timestamp": iso(record.timestamp_ms),
        "bytes": len(record.value or b""),
        "headers": {
            name: value.decode(errors="replace") if value and name in _SHOWN_HEADERS else None
            for name, value in record.headers
        },
    }


def plain(value: Any) -> Any:
    """A value of a row as JSON has it; times as ISO 8601."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def window_ms(row: Row) -> tuple[int, int]:
    """When models can have been asked for a row's decision: from the source's arrival to the decision, milliseconds."""
    processing = row[PROCESSING]
    return _ms(processing["ingestion_time"]), _ms(processing["processing_time"])
