"""Opens the profiles, where there are to be any."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headgate_runtime.avro import Decoder
from headgate_schemas import compile_rules

from headgate_enricher.profiles.following import Profiles
from headgate_enricher.profiles.metrics import ProfileMetrics
from headgate_enricher.profiles.model import ProfiledModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.metrics import Metrics
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, TopicContract

    from headgate_enricher.model_thread import ModelCalls
    from headgate_enricher.profiles.following import Follower
    from headgate_enricher.stages import Beside


class Profiled(NamedTuple):
    """What the dispatcher gets.

    Attributes:
        model: Where grey events go.
        beside: What goes along with assigned partitions.
    """

    model: ModelCalls
    beside: Sequence[Beside] = ()


def profiled(
    model: ModelCalls,
    contract: TopicContract | None,
    *,
    contracts: Contracts,
    registry: SchemaRegistry,
    follow: Callable[[str], Follower],
    capacity: int,
    metrics: Metrics,
) -> Profiled:
    """Give grey events the profile of their key.

    Args:
        model: Where they go.
        contract: The topic of the profiles; None leaves them without.
        contracts: The contracts.
        registry: Where the schemas are.
        follow: Begins to read a topic.
        capacity: Most keys held.
        metrics: Metrics of the service.
    """
    if contract is None:
        return Profiled(model)
    decoder = Decoder(registry, contracts.record(contract.record))
    rules = compile_rules(contract)
    profiles = Profiles(follow(contract.topic), decoder, rules, capacity=capacity, metrics=ProfileMetrics(metrics))
    return Profiled(ProfiledModel(model, profiles), [profiles])
