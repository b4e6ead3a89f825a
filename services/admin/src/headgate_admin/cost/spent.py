"""What the running system has spent: by the table's rows, and by the budget ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headgate_runtime.avro import Decoder
from headgate_runtime.errors import RejectedError, UnavailableError, UndecodableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition
from headgate_runtime.registry import ConfluentRegistry

from headgate_admin.reading import READ_TIMEOUT_S

if TYPE_CHECKING:
    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record
    from headgate_schemas import RecordSchema
    from pyiceberg.table import Table

    from headgate_admin.config import AdminSettings

DECIDED: Final = "processing_metadata.processing_time"
_FIELDS: Final = (
    *(f"agent_metadata.{name}" for name in ("agent", "tier", "model_id", "model_calls", "cost_microdollars")),
    *(f"agent_metadata.{name}_tokens" for name in ("input", "output")),
    DECIDED,
)
_HOURS: Final = """
SELECT strftime(date_trunc('hour', make_timestamp(epoch_us(processing_metadata.processing_time))), '%Y-%m-%dT%H:00Z'),
       agent_metadata.agent, agent_metadata.model_id, count(*), count(*) FILTER (agent_metadata.tier = 'model'),
       sum(agent_metadata.model_calls), sum(agent_metadata.input_tokens), sum(agent_metadata.output_tokens),
       sum(agent_metadata.cost_microdollars)
FROM rows GROUP BY ALL ORDER BY ALL
"""


class Hour(NamedTuple):
    """What one agent spent at one model in an hour (UTC) by the table; without a model, the events it decided without one."""

    hour: str
    agent: str
    model: str | None
    events: int
    by_model: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_microdollars: int


@dataclass
class Settled:
    """What the ledger has settled.

    Attributes:
        calls: Calls whose cost is known.
        tokens: Of them.
        cost_microdollars: Of them.
        unreadable: Entries that cannot be decoded.
    """

    calls: int = 0
    tokens: int = 0
    cost_microdollars: int = 0
    unreadable: int = 0


def spent_by_hour(table: Table, since_iso: str) -> list[Hour]:
    """Add up the table's decisions since a time, a batch of rows at a time.

    Args:
        table: Of decided events.
        since_iso: ISO 8601 with its zone; by when an event was decided.

    Raises:
        RejectedError: The table has not the columns.
        UnavailableError: The store does not answer.
    """
    import duckdb  # noqa: PLC0415 - takes a third of a second to import

    try:
        rows = table.scan(f"{DECIDED} >= '{since_iso}'", selected_fields=_FIELDS).to_arrow_batch_reader()
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            return [Hour(*row) for row in connection.execute(_HOURS).fetchall()]
    except ValueError as error:
        raise RejectedError(f"not a table of decided events: {error}") from error
    except OSError as error:
        raise UnavailableError(f"the store does not give the table's files: {error!r}") from error


def settled_since(settings: AdminSettings, record: RecordSchema, since_ms: int) -> Settled:
    """Add up the ledger's settlements since a time.

    Raises:
        RejectedError: There is no ledger.
        UnavailableError: Brokers or registry do not answer.
    """
    decoder, found = Decoder(ConfluentRegistry(settings.registry), record), Settled()

    def take(entry: Record) -> None:
        add(found, decoder, entry)

    starts = _starts(settings.kafka, settings.budget_topic, since_ms)
    read_range(settings.kafka, starts, take, READ_TIMEOUT_S)
    return found


def add(found: Settled, decoder: Decoder, entry: Record) -> None:
    """Count one entry of the ledger; reservations and limits are no spending."""
    try:
        value: dict[str, Any] = decoder.decode(entry.value)
    except UndecodableError:
        found.unreadable += 1
        return
    if value["kind"] == "settle":
        found.calls += 1
        found.tokens += value["tokens"]
        found.cost_microdollars += value["cost_microdollars"]


def _starts(settings: KafkaSettings, topic: str, since_ms: int) -> dict[TopicPartition, int]:
    admin = KafkaAdmin(settings)
    if (known := admin.topics().get(topic)) is None:
        raise RejectedError(f"No topic {topic}: run `headgate topics apply`.")
    return admin.offsets_at([TopicPartition(topic, number) for number in range(known.partitions)], since_ms)
