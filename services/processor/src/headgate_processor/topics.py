"""The topics the processor uses: their contracts, and whether the brokers have them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError
from headgate_schemas import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_schemas import Contracts, TopicContract

    from headgate_processor.config import Settings


@dataclass(frozen=True, slots=True)
class Topics:
    """Contracts of the topics the processor uses.

    Attributes:
        source: Events.
        profiles: Windows by the events' own key.
        metrics: Windows by other keys.
        parts: Their parts.
        alerts: Windows that broke a rule.
        late: Events that came too late.
        state: What is held of open windows.
        dead_letters: What cannot be counted.
    """

    source: TopicContract
    profiles: TopicContract
    metrics: TopicContract
    parts: TopicContract
    alerts: TopicContract
    late: TopicContract
    state: TopicContract
    dead_letters: TopicContract

    @classmethod
    def of(cls, settings: Settings, contracts: Contracts, source: TopicContract) -> Topics:
        """Look the contracts up.

        Raises:
            ConfigurationError: One is missing, or the profiles' names no dead letters.
        """
        try:
            profiles = contracts.topic(settings.profiles_topic)
            if profiles.dead_letters is None:
                raise ConfigurationError(f"topic {profiles.topic} names no dead_letters topic: add one to its contract")
            return cls(
                source,
                profiles,
                contracts.topic(settings.metrics_topic),
                contracts.topic(settings.parts_topic),
                contracts.topic(settings.alerts_topic),
                contracts.topic(settings.late_topic),
                contracts.topic(settings.state_topic),
                contracts.topic(profiles.dead_letters),
            )
        except ContractError as error:
            raise ConfigurationError(str(error)) from error

    def check(self, existing: Mapping[str, TopicInfo]) -> None:
        """Check that the topics are there.

        Raises:
            ConfigurationError: One is not, or has fewer partitions than the events it goes along with.
        """
        missing = sorted({getattr(self, field.name).topic for field in fields(self)} - set(existing))
        if missing:
            raise ConfigurationError(f"No topic {', '.join(missing)}: run `headgate topics apply`.")
        source = existing[self.source.topic].partitions
        for beside in (self.profiles.topic, self.state.topic):
            if existing[beside].partitions < source:
                raise ConfigurationError(
                    f"{beside} has {existing[beside].partitions} partitions and {self.source.topic} has {source}: "
                    f"add partitions to {beside}, one for each of the other's."
                )
