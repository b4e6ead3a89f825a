"""Rows as the writer stores them, made without a broker: the contract's examples, varied where real events vary."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_schemas import Contracts
from headgate_writer.schema import INSTANT, decoded_schema, stored_schema

if TYPE_CHECKING:
    from headgate_schemas import TopicContract

TOPIC = "enriched-events"
# What the writer decodes at once, and with it a chunk of a batch.
CHUNK_ROWS = 5_000
HOUR_MS = 3_600_000
_DAY_MS = 24 * HOUR_MS
_NOON_MS = 1_764_028_800_000 + 12 * HOUR_MS
_HEX_ID = re.compile(r"[0-9a-f]{32}")


def events(count: int, *, keys: int, spread_ms: int) -> list[dict[str, Any]]:
    """Return decided events, the same each time.

    Args:
        count: Events.
        keys: Distinct values of the contract's key, drawn evenly; 0 gives each event one of its own.
        spread_ms: Milliseconds around noon that event times are drawn from; ids are all distinct.
    """
    contracts = Contracts.load()
    topic = contracts.topic(TOPIC)
    examples = list(contracts.examples(topic.record).values())
    rng = random.Random(7)  # noqa: S311 - the same rows each time
    values = []
    for place in range(count):
        value = _varied(rng.choice(examples), rng)
        _set(value, topic.fields.event_id, f"shop-{rng.getrandbits(64):016x}")
        _set(value, topic.fields.key, f"customer-{rng.randrange(keys) if keys else place:09d}")
        _set(value, topic.fields.event_time, _NOON_MS + int((rng.random() - 0.5) * spread_ms))
        values.append(value)
    return values


def stored_rows(count: int, *, keys: int, spread_ms: int) -> pa.Table:
    """Return the rows of events in the table's schema, in chunks as the writer's buffer has them."""
    contracts = Contracts.load()
    topic = contracts.topic(TOPIC)
    decoded = decoded_schema(contracts.record(topic.record))
    values = events(count, keys=keys, spread_ms=spread_ms)
    return _stored(
        pa.Table.from_struct_array(pa.array(values, pa.struct(list(decoded)))), topic, stored_schema(decoded)
    )


def _stored(columns: pa.Table, topic: TopicContract, schema: pa.Schema) -> pa.Table:
    count, width = columns.num_rows, len(columns.column_names)
    arrays = columns.cast(pa.schema(list(schema)[:width])).columns
    places = pa.array([place // topic.partitions for place in range(count)], pa.int64())
    partitions = pa.array([place % topic.partitions for place in range(count)], pa.int32())
    ingested = pa.repeat(pa.scalar(_NOON_MS * 1_000, INSTANT), count)
    rows = pa.Table.from_arrays([*arrays, pa.repeat(topic.topic, count), partitions, places, ingested], schema=schema)
    rows = rows.combine_chunks()
    return pa.concat_tables([rows.slice(start, CHUNK_ROWS) for start in range(0, count, CHUNK_ROWS)])


def _varied(value: Any, rng: random.Random) -> Any:
    """Copy an example with ids and measured numbers of its own."""
    if isinstance(value, dict):
        return {name: _varied(inner, rng) for name, inner in value.items()}
    if isinstance(value, list):
        return [_varied(inner, rng) for inner in value]
    if isinstance(value, str) and _HEX_ID.fullmatch(value):
        return f"{rng.getrandbits(128):032x}"
    if isinstance(value, float):
        return round(value * rng.uniform(0.5, 1.0), 2)
    # Instants and large numbers differ from event to event; small ones count things.
    return value + rng.randrange(_DAY_MS // 1_000) if isinstance(value, int) and value > _DAY_MS else value


def _set(value: dict[str, Any], path: str | None, leaf: Any) -> None:
    if path is None:
        raise RuntimeError(f"{TOPIC}: the bench varies key, id and time; the contract does not name them all")
    *parents, name = path.split(".")
    for parent in parents:
        value = value[parent]
    value[name] = leaf
