"""Which agent decides on an event: a table from the event's type to an agent, and the field that holds the type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from headgate_runtime.errors import ConfigurationError
from headgate_schemas import field_getter
from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headgate_schemas import Getter, TopicContract
    from headgate_schemas.agent import Agent, Event

    from headgate_enricher.canary import Canary

ANY: Final = "*"


def _each_type_once(table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    types = [kind for kinds in table.values() for kind in kinds]
    if twice := sorted({kind for kind in types if types.count(kind) > 1}):
        raise ValueError(f"the event types {', '.join(twice)} are named twice; each goes to one agent")
    return table


_Name = Annotated[str, Field(min_length=1)]
AgentTable = Annotated[
    dict[_Name, Annotated[tuple[_Name, ...], Field(min_length=1)]],
    Field(min_length=1),
    AfterValidator(_each_type_once),
]
"""Event types by the agent that decides on them; ``*`` is every type that no agent is named for."""
DEFAULT_AGENTS: Final[dict[str, tuple[str, ...]]] = {"risk": (ANY,)}


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """An agent at work.

    Attributes:
        agent: The agent.
        place: Which of a partition's memories are its own.
        name: The agent's name, as its records have it.
        version: The agent's version, the same.
    """

    agent: Agent
    place: int
    name: str = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Read name and version once: they are in every record."""
        object.__setattr__(self, "name", self.agent.name)
        object.__setattr__(self, "version", self.agent.version)


class Routing:
    """Sends each event to the agent that decides on it; a canary's share is taken from there (``CanaryIntake``).

    Args:
        by_type: Agents by the event types they decide on.
        type_field: Path of the field that holds the type; None where one agent decides on everything.
        canary: An agent that gets a share of another's events.

    Attributes:
        only: The agent that decides on everything, None where there are several; not to have to look for the type.
    """

    def __init__(
        self, by_type: Mapping[str, Decider], type_field: str | None = None, canary: Canary | None = None
    ) -> None:
        self._by_type = dict(by_type)
        self.canary = canary
        self._rest = self._by_type.get(ANY)
        self._type_of: Getter | None = field_getter(type_field) if type_field else None
        self.type_field = type_field
        self.only = self._rest if set(self._by_type.values()) == {self._rest} else None

    @property
    def deciders(self) -> list[Decider]:
        """Every agent once, in the order of their places."""
        canary = {self.canary.decider} if self.canary is not None else set()
        return sorted({*self._by_type.values(), *canary}, key=lambda decider: decider.place)

    def decider_of(self, event: Event) -> Decider | None:
        """The agent that decides on an event; None where no agent takes events of its type."""
        kind = self._type_of(event) if self._type_of is not None else None
        return self._by_type.get(kind, self._rest)  # type: ignore[arg-type]  # whatever the event holds there

    def types_of(self, decider: Decider) -> list[str]:
        """The event types an agent decides on."""
        return [kind for kind, found in self._by_type.items() if found is decider]


def check_table(table: Mapping[str, Iterable[str]], topic: TopicContract) -> None:
    """Check that a table sends every type of a topic's events to an agent, and names no type there is not.

    Raises:
        ConfigurationError: It does not, or the topic's contract does not say which field the type is.
    """
    named = {kind for kinds in table.values() for kind in kinds}
    if len(table) == 1 and ANY in named:
        return
    if topic.fields.type is None:
        raise ConfigurationError(
            f"The contract of {topic.topic} does not say which field is the event's type, which the agents are chosen "
            f"by: add fields.type to {topic.topic}.yaml, or name one agent for all types: "
            f'AGENTS={{"{next(iter(table))}": ["{ANY}"]}}.'
        )
    known = topic.event_types
    if known is None:
        return
    listed = f"{topic.topic} has the types {', '.join(sorted(map(str, known)))}"
    if unknown := named - known - {ANY}:
        raise ConfigurationError(f"AGENTS names types there are not: {', '.join(sorted(unknown))}; {listed}.")
    if ANY not in named and (missing := known - named):
        raise ConfigurationError(
            f"AGENTS sends events of type {', '.join(sorted(map(str, missing)))} to no agent: name an agent for each, "
            f'or one for "{ANY}", which is every other type; {listed}.'
        )
