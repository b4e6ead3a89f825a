"""The cluster's access rules: who may do what with which topic, group and transactional id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from headgate_runtime.kafka.client import ClientContext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from concurrent.futures import Future

    from headgate_runtime.config import KafkaSettings

Resource = Literal["topic", "group", "transactional_id", "cluster"]
Pattern = Literal["literal", "prefixed"]

CLUSTER: Final = "kafka-cluster"
_ANYWHERE: Final = "*"
_TIMEOUT_S: Final = 15.0
_RESOURCES: Final[dict[Resource, ResourceType]] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_PATTERNS: Final[dict[Pattern, ResourcePatternType]] = {
    "literal": ResourcePatternType.LITERAL,
    "prefixed": ResourcePatternType.PREFIXED,
}
_RESOURCE_NAMES: Final = {kind: name for name, kind in _RESOURCES.items()}
_PATTERN_NAMES: Final = {kind: name for name, kind in _PATTERNS.items()}


class AclRule(NamedTuple):
    """That a principal may do something, from anywhere.

    Attributes:
        principal: As the brokers spell it: ``User:headgate-writer``.
        resource: Kind of what it may do it with.
        name: Its name, or what its name begins with.
        pattern: Which of both.
        operation: What it may do, as Kafka spells it: ``READ``.
    """

    principal: str
    resource: Resource
    name: str
    pattern: Pattern
    operation: str


class KafkaAcls:
    """Looks at the rules that allow something and changes them; rules that forbid are left alone."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._context = ClientContext(settings)
        self._client = self._context.make(AdminClient, {})

    def rules(self, principals: Collection[str]) -> set[AclRule]:
        """Return what these principals may do.

        Raises:
            RejectedError: The brokers have no authorizer, or this client may not look.
            UnavailableError: They do not answer.
        """
        found = self._client.describe_acls(_filter(), request_timeout=_TIMEOUT_S)
        bindings = self._result("read the access rules", found)
        return {_rule(binding) for binding in bindings if binding.principal in principals and _known(binding)}

    def add(self, rules: Iterable[AclRule]) -> None:
        """Allow it; harmless where it is allowed already."""
        bindings = {_binding(AclBinding, rule): rule for rule in rules}
        for binding, future in self._client.create_acls(list(bindings), request_timeout=_TIMEOUT_S).items():
            self._result(f"allow {_told(bindings[binding])}", future)

    def remove(self, rules: Iterable[AclRule]) -> None:
        """Allow it no more; harmless where it is not allowed."""
        filters = {_binding(AclBindingFilter, rule): rule for rule in rules}
        for each, future in self._client.delete_acls(list(filters), request_timeout=_TIMEOUT_S).items():
            self._result(f"take back {_told(filters[each])}", future)

    def _result(self, action: str, future: Future[Any]) -> Any:
        try:
            return future.result(timeout=_TIMEOUT_S * 2)
        except KafkaException as error:
            self._client.poll(0)  # runs the callback that takes note of a refusal
            raise self._context.translate(error, action) from error


def _filter() -> AclBindingFilter:
    anything: Any = None  # the client's types have no word for it
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ALLOW,
    )


def _told(rule: AclRule) -> str:
    return f"{rule.principal} to {rule.operation} {rule.resource} {rule.name} ({rule.pattern})"


def _binding(kind: type[AclBinding | AclBindingFilter], rule: AclRule) -> Any:
    return kind(
        _RESOURCES[rule.resource],
        rule.name,
        _PATTERNS[rule.pattern],
        rule.principal,
        _ANYWHERE,
        AclOperation[rule.operation],
        AclPermissionType.ALLOW,
    )


def _known(binding: Any) -> bool:
    return bool(binding.host == _ANYWHERE) and binding.restype in _RESOURCE_NAMES


def _rule(binding: Any) -> AclRule:
    return AclRule(
        binding.principal,
        _RESOURCE_NAMES[binding.restype],
        binding.name,
        _PATTERN_NAMES[binding.resource_pattern_type],
        binding.operation.name,
    )
