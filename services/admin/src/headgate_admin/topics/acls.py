"""From the contracts' lists of who writes and who reads to the rules that allow just that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from headgate_runtime.kafka.acls import CLUSTER, AclRule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from headgate_runtime.kafka.acls import Pattern, Resource
    from headgate_schemas import TopicContract

ADMIN: Final = "admin"
REPLAYS: Final = "replay-"
# Readers outside of any group name one that they never join; the client looks its coordinator up all the same.
READERS: Final = "headgate-"

_ON_TOPIC: Final = ("DESCRIBE", "DESCRIBE_CONFIGS")
_KEEPS_TOPICS: Final = ("CREATE", "ALTER", "ALTER_CONFIGS", *_ON_TOPIC)
_KEEPS_CLUSTER: Final = ("ALTER", "DESCRIBE")


@dataclass(frozen=True, slots=True)
class AclChange:
    """A rule that is to come or to go."""

    action: Literal["allow", "take back"]
    rule: AclRule

    def document(self) -> dict[str, Any]:
        """The change in JSON form."""
        return {"action": self.action, **self.rule._asdict()}


def services_of(contracts: Iterable[TopicContract]) -> list[str]:
    """Every service that a contract names."""
    return sorted({each for topic in contracts for each in (*topic.producers, *topic.consumers)} | {ADMIN})


def wanted_rules(contracts: Collection[TopicContract], principal: str) -> set[AclRule]:
    """What has to be allowed so that each service can do what the contracts say, and nothing else.

    Args:
        contracts: The topics.
        principal: How the brokers spell a service: ``User:headgate-{service}``.
    """

    def rules(service: str) -> Iterator[AclRule]:
        name = principal.format(service=service)
        reads = [topic.topic for topic in contracts if service in topic.consumers]
        writes = [topic.topic for topic in contracts if service in topic.producers]
        for topic in reads:
            yield from _allow(name, "topic", topic, ("READ", *_ON_TOPIC))
        for topic in writes:
            yield from _allow(name, "topic", topic, ("WRITE", *_ON_TOPIC))
        if reads:
            yield from _allow(name, "group", service, ("READ", "DESCRIBE"))
            yield from _allow(name, "group", f"{service}-", ("READ", "DESCRIBE"), "prefixed")
            yield from _allow(name, "group", READERS, ("DESCRIBE",), "prefixed")
        if reads and writes:
            yield from _allow(name, "transactional_id", f"{service}-", ("WRITE", "DESCRIBE"), "prefixed")
        if service == ADMIN:
            yield from _administration(name, contracts)

    return {rule for service in services_of(contracts) for rule in rules(service)}


def plan_acls(wanted: set[AclRule], actual: set[AclRule]) -> list[AclChange]:
    """What has to change; what is to come stands first, so that nobody is without a right in between."""
    return [AclChange("allow", rule) for rule in sorted(wanted - actual)] + [
        AclChange("take back", rule) for rule in sorted(actual - wanted)
    ]


def apply_acls(
    changes: Iterable[AclChange],
    add: Callable[[list[AclRule]], None],
    remove: Callable[[list[AclRule]], None],
) -> None:
    """Make planned changes."""
    planned = list(changes)
    if coming := [change.rule for change in planned if change.action == "allow"]:
        add(coming)
    if going := [change.rule for change in planned if change.action == "take back"]:
        remove(going)


def _administration(name: str, contracts: Collection[TopicContract]) -> Iterator[AclRule]:
    """What the command line needs besides: it keeps topics and rules, replays, and asks whether states have an owner."""
    yield from _allow(name, "cluster", CLUSTER, _KEEPS_CLUSTER)
    for topic in contracts:
        yield from _allow(name, "topic", topic.topic, _KEEPS_TOPICS)
    for service in services_of(contracts):
        yield from _allow(name, "group", service, ("DESCRIBE",))
        yield from _allow(name, "group", f"{service}-", ("DESCRIBE",), "prefixed")
    yield from _allow(name, "topic", REPLAYS, ("READ", "WRITE", "CREATE", "DELETE", *_ON_TOPIC), "prefixed")
    yield from _allow(name, "group", REPLAYS, ("READ", "DESCRIBE"), "prefixed")
    yield from _allow(name, "transactional_id", REPLAYS, ("WRITE", "DESCRIBE"), "prefixed")


def _allow(
    principal: str, resource: Resource, name: str, operations: Iterable[str], pattern: Pattern = "literal"
) -> Iterator[AclRule]:
    return (AclRule(principal, resource, name, pattern, operation) for operation in operations)
