from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_enricher.memory import MemoryCodec
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from headgate_schemas.agent import Memory


@pytest.fixture(scope="module")
def codec() -> MemoryCodec:
    contracts, registry = Contracts.load(), MemoryRegistry()
    topic = contracts.topic("enricher-memory")
    record = contracts.record(topic.record)
    registry.register(topic.subject, record.text)
    return MemoryCodec("risk", Encoder(registry, topic.subject, record), Decoder(registry, record))


@pytest.mark.parametrize("state", [{}, {"n": 1, "x": 0.1, "none": None, "list": [1, {"deep": "ü"}], "yes": True}])
def test_a_memory_comes_back_as_it_was(codec: MemoryCodec, state: Memory) -> None:
    assert codec.load(codec.dump(state)) == state


@pytest.mark.parametrize("state", [{"x": float("nan")}, {"x": [float("inf")]}, {"x": {1, 2}}, {1: "x"}, {"x": b"raw"}])
def test_a_memory_that_is_no_json_is_refused_before_it_is_written(codec: MemoryCodec, state: Any) -> None:
    with pytest.raises(RejectedError, match="agent risk is no JSON"):
        codec.dump(state)


def test_a_record_that_is_no_memory_says_what_to_do(codec: MemoryCodec) -> None:
    with pytest.raises(ConfigurationError, match="Register the topic's schema again"):
        codec.load(codec.dump({})[:3])
