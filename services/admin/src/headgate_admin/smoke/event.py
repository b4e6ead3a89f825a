"""The event that is sent: an example of the contract's, with an id, a time and an origin of its own."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import Contracts, TopicContract

ORIGIN: Final = "headgate-smoke"


def make_event(contracts: Contracts, topic: TopicContract, event_id: str, now_ms: int) -> dict[str, Any]:
    """Make an event that the topic's contract takes.

    Key and tenant are ``headgate-smoke``, where the contract has such fields: no customer's history holds it.

    Raises:
        ConfigurationError: The contract has no example or no field for the event's id.
    """
    examples = contracts.examples(topic.record)
    fields = topic.fields
    if not examples or fields.event_id is None:
        raise ConfigurationError(
            f"{topic.topic} cannot be tried: its contract needs fields.event_id, and examples/{topic.record}/ an example"
        )
    event = deepcopy(dict(examples[min(examples)]))
    values = {fields.event_id: event_id, fields.event_time: now_ms, fields.key: ORIGIN, fields.tenant: ORIGIN}
    for path, value in values.items():
        if path is not None:
            _put(event, path, value)
    return event


def additions(event: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row has that its event had not: the decision, and how it came about."""
    return {name: value for name, value in row.items() if name not in event and not name.startswith("_")}


def _put(event: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    record: dict[str, Any] = event
    for name in parents:
        record = record[name]
    record[leaf] = value
