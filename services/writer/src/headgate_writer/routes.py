"""Which table each topic goes to; topics that the brokers do not have yet are looked for now and then."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, ItemsView, Mapping, Sequence

    from headgate_runtime.records import TopicPartition

    from headgate_writer.positions import Incarnation
    from headgate_writer.sink import Sink

_log = structlog.get_logger()

_LOOK_EVERY_S = 30.0
_ABSENT = "the brokers do not have it: run `headgate topics apply`; it is looked for now and then"


class Routes:
    """The topics to be stored, and the sinks of those that exist.

    Attributes:
        tables: The sinks, each once.
        missing: Why a topic is not read yet, by topic.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        identify: Callable[[], Mapping[str, Incarnation]],
        open_topic: Callable[[str], Sink],
        clock: Callable[[], float],
    ) -> None:
        """Open the tables of the topics that exist.

        Args:
            topics: All topics to be stored.
            identify: Asks the brokers which incarnation of each topic they have; those that do not exist are absent.
            open_topic: Opens a topic's table and returns its sink, which topics of one table share.
            clock: Monotonic seconds.

        Raises:
            ConfigurationError: None of them exists, or one does not fit its table.
            UnavailableError: Brokers, registry or catalog do not answer.
        """
        self.identify = identify
        self.tables: list[Sink] = []
        self._open_topic = open_topic
        self._clock = clock
        self._look_not_before = clock() + _LOOK_EVERY_S
        self._sinks: dict[str, Sink] = {}
        there = identify()
        self.missing = {topic: _ABSENT for topic in topics if topic not in there}
        for topic in topics:
            if topic in there:
                self._add(topic)
        if not self._sinks:
            raise ConfigurationError(
                f"the brokers have none of the topics {', '.join(topics)}: run `headgate topics apply`"
            )

    @property
    def topics(self) -> list[str]:
        """Topics that are read."""
        return list(self._sinks)

    def of(self, topic: str) -> Sink:
        """Return the sink of a topic that is read."""
        return self._sinks[topic]

    def by_sink(self, partitions: Collection[TopicPartition]) -> ItemsView[Sink, list[TopicPartition]]:
        """Share partitions out to the sinks of their topics."""
        own: dict[Sink, list[TopicPartition]] = defaultdict(list)
        for partition in partitions:
            own[self._sinks[partition.topic]].append(partition)
        return own.items()

    def look(self) -> bool:
        """Look for missing topics if it is time; tell whether one has come."""
        if not self.missing or self._clock() < self._look_not_before:
            return False
        self._look_not_before = self._clock() + _LOOK_EVERY_S
        before = len(self._sinks)
        try:
            for topic in self.identify().keys() & self.missing.keys():
                self._try(topic)
        except UnavailableError as error:
            _log.warning("missing topics not looked for", error=str(error))
        return len(self._sinks) > before

    def _try(self, topic: str) -> None:
        try:
            self._add(topic)
        except ConfigurationError as error:
            self.missing[topic] = str(error)
            _log.warning("topic not read", topic=topic, error=str(error))
        else:
            self.missing = {name: why for name, why in self.missing.items() if name != topic}
            _log.info("topic has come", topic=topic)

    def _add(self, topic: str) -> None:
        sink = self._sinks[topic] = self._open_topic(topic)
        if sink not in self.tables:
            self.tables = [*self.tables, sink]
