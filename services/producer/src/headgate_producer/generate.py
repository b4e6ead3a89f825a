"""Labelled traffic out of a generator plug-in (entry point group ``headgate.generators``); the same seed, the same events."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Protocol

from headgate_runtime.errors import ConfigurationError
from headgate_schemas import field_getter

from headgate_producer.candidates import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headgate_schemas import TopicContract

GROUP: Final = "headgate.generators"


class Generator(Protocol):
    """What a plug-in offers."""

    def __call__(
        self, *, seed: int, events: int, start_ms: int, end_ms: int, keys: Sequence[str] | None = None
    ) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Events of the agent's record in the order of time, each with its label.

        Args:
            seed: Decides everything that is random.
            events: How many.
            start_ms: Earliest event time, milliseconds since the epoch.
            end_ms: Latest event time.
            keys: Record keys the events are of; None for invented ones.
        """


def load_generator(name: str) -> Generator:
    """Find a generator by the name of its entry point.

    Raises:
        ConfigurationError: No installed package offers it.
    """
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted(offered)) or "none"
        raise ConfigurationError(f"no generator {name!r}; installed are: {known}. Install the agent's package")
    generator: Generator = offered[name].load()
    return generator


def generate(
    generator: Generator,
    topic: TopicContract,
    *,
    name: str,
    seed: int,
    events: int,
    start_ms: int,
    end_ms: int,
    keys: Sequence[str] | None = None,
) -> Iterator[Candidate]:
    """Candidates of a generator, by time.

    Args:
        generator: The plug-in.
        topic: Contract of the topic the events are for; says which field is the time.
        name: Of the generator, for messages.
        seed: Decides everything that is random.
        events: How many.
        start_ms: Earliest event time.
        end_ms: Latest event time.
        keys: Record keys the events are of; None for invented ones.
    """
    time_of = field_getter(topic.fields.event_time) if topic.fields.event_time else None
    produced = generator(seed=seed, events=events, start_ms=start_ms, end_ms=end_ms, keys=keys)
    for row, (event, label) in enumerate(produced, 1):
        time = time_of(event) if time_of is not None else None
        yield Candidate(time if isinstance(time, int) else start_ms, dict(event), name, row, event, label=label)
