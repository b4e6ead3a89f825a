"""Events to load the enricher with: of a wanted share at the model, each with an id of its own, over a number of keys."""

from __future__ import annotations

import copy
import itertools
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from headgate_enricher.agents import load_agent
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts, field_getter
from headgate_schemas.agent import GreyCase
from langchain_aws import ChatBedrockConverse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_local.endpoints import Endpoints
    from headgate_runtime.errors import HeadgateError

SOURCE = "raw-events"
AGENT = "risk"
MODEL_ID = "us.amazon.nova-micro-v1:0"
START_MS, END_MS = 1_760_000_000_000, 1_760_086_400_000
POOL_EVENTS = 20_000
FLUSH_EVERY = 10_000
FLUSH_TIMEOUT_S = 60.0


class Traffic:
    """Sends events into the source topic; a context manager that flushes at its end.

    Attributes:
        sent: Events handed to the producer.
        grey: How many of them the agent cannot decide by rules, as far as nothing is remembered of their keys.
    """

    def __init__(self, endpoints: Endpoints, *, keys: int) -> None:
        self.sent = 0
        self.grey = 0
        contracts = Contracts.load()
        self._contract = contracts.topic(SOURCE)
        registry = ConfluentRegistry(RegistrySettings(url=endpoints.registry_url))
        self._encoder = Encoder(registry, self._contract.subject, contracts.record(self._contract.record))
        self._producer = KafkaProducer(KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers))
        self._failures: list[HeadgateError] = []
        self._keys = keys
        self._owed = 0.0
        self._ruled, self._asked = pools(AGENT)

    def send(self, events: int, share: float) -> None:
        """Hand events to the producer, ``share`` (0 to 1) of them grey, evenly spread."""
        for _ in range(events):
            self._owed += share
            grey = self._owed >= 1 - 1e-9  # sums of a share such as 0.02 fall short of 1 by a hair
            self._owed -= grey
            self._producer.send(self._record(next(self._asked if grey else self._ruled)), self._delivered)
            self.sent += 1
            self.grey += grey
            if self.sent % FLUSH_EVERY == 0:
                self.flush()
        self._producer.poll()

    def flush(self) -> None:
        """Wait until the brokers have what was sent.

        Raises:
            RuntimeError: They do not take it.
        """
        if self._producer.flush(FLUSH_TIMEOUT_S) or self._failures:
            raise RuntimeError(f"the load could not be sent: {self._failures[:1] or 'the broker does not answer'}")

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()

    def _record(self, event: dict[str, Any]) -> OutgoingRecord:
        fields = self._contract.fields
        key = f"key-{self.sent % self._keys}"
        if fields.event_id is not None:
            _put(event, fields.event_id, f"event-{self.sent}")
        if fields.key is not None:
            _put(event, fields.key, key)
        return OutgoingRecord(self._contract.topic, key.encode(), self._encoder.encode(event))

    def _delivered(self, error: HeadgateError | None) -> None:
        if error is not None:
            self._failures.append(error)


def pools(agent_name: str) -> tuple[Iterator[dict[str, Any]], Iterator[dict[str, Any]]]:
    """Endless events that the agent decides by itself, and events it needs the model for."""
    agent = load_agent(agent_name, plain_model("http://127.0.0.1:9"), model_id=MODEL_ID)
    generate = entry_points(group="headgate.generators")[agent_name].load()
    events = [event for event, _ in generate(seed=1, events=POOL_EVENTS, start_ms=START_MS, end_ms=END_MS)]
    ruled: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for event, result in zip(events, agent.triage(events, [None] * len(events)), strict=True):
        (asked if isinstance(result, GreyCase) else ruled).append(copy.deepcopy(dict(event)))
    return itertools.cycle(ruled), itertools.cycle(asked)


def plain_model(endpoint_url: str) -> ChatBedrockConverse:
    """The chat model as langchain-aws makes it, pointed at an endpoint that takes any key."""
    local = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return ChatBedrockConverse(
        model_id=MODEL_ID, region_name="us-east-1", endpoint_url=endpoint_url, max_tokens=256, temperature=0, **local
    )


def _put(event: dict[str, Any], path: str, value: str) -> None:
    parents, _, leaf = path.rpartition(".")
    (field_getter(parents)(event) if parents else event)[leaf] = value
