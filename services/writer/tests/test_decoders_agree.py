"""Random records of random types, damaged or not: every decoder makes the same rows and refuses the same records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastavro.schema import expand_schema
from headgate_schemas import Contracts
from hypothesis import given
from hypothesis import strategies as st

from .decoders import World, offsets, record_of
from .random_avro import damaged, fields, two_versions, values_of

if TYPE_CHECKING:
    import random

    from headgate_schemas import RecordSchema

SHIPPED = Contracts.load()
STORED = [topic for topic in SHIPPED.topics.values() if topic.table is not None]


@given(st.data(), two_versions())
def test_records_of_two_versions_in_one_batch_become_the_same_rows(
    data: st.DataObject, versions: tuple[RecordSchema, RecordSchema]
) -> None:
    world = World(versions[1])
    written = data.draw(st.lists(st.sampled_from(versions).flatmap(_value_with_version), max_size=6))
    rows, _ = world.decode_alike([world.encode(value, version) for version, value in written])
    assert rows.num_rows == len(written)


def _value_with_version(version: RecordSchema) -> st.SearchStrategy[tuple[RecordSchema, dict[str, Any]]]:
    return st.tuples(st.just(version), values_of(version.schema))


@given(st.data(), fields(), st.randoms(use_true_random=False))
def test_damaged_records_are_refused_alike(
    data: st.DataObject, kinds: list[dict[str, Any]], rng: random.Random
) -> None:
    record = record_of(*kinds)
    world = World(record)
    good = [world.encode(value) for value in data.draw(st.lists(values_of(record.schema), min_size=1, max_size=3))]
    mixed = [value if rng.random() < 0.2 else damaged(value, rng) for value in good * 7]
    world.decode_alike([*mixed, None, b""])


@given(st.data(), st.sampled_from(STORED), st.randoms(use_true_random=False))
def test_shipped_contracts_decode_alike(data: st.DataObject, contract: Any, rng: random.Random) -> None:
    record = SHIPPED.record(contract.record)
    world = World(record, contract)
    examples = st.sampled_from(list(SHIPPED.examples(contract.record).values()))
    values = data.draw(st.lists(examples | values_of(expand_schema(record.schema)), min_size=1, max_size=3))
    good = [world.encode(value) for value in values]
    rows, _ = world.decode_alike(good)
    kept = set(offsets(rows))
    assert all(
        index in kept for index, value in enumerate(values) if value in SHIPPED.examples(contract.record).values()
    )
    world.decode_alike([damaged(value, rng) for value in good * 10])
