"""How the stack's brokers and registry are reached: by anybody, or by principals with what the contracts give them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Protocol

from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_schemas import Contracts

from headgate_local.certificates import Authority
from headgate_local.folder import write_whole
from headgate_local.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BROKER: Final = "headgate-broker"
_PREFIX: Final = "headgate-"
_ADMIN: Final = "admin"
_SECRET: Final = 0o600


class Access(Protocol):
    """What the brokers and the registry are set to, and what a client is to reach them with.

    A principal is a service as the contracts name it (``enricher``); None is the cluster's own, which may do everything.
    """

    def ports(self, name: str) -> tuple[str, ...]:
        """Names of the ports that a broker has besides those for clients and for controllers."""

    def broker(self, ports: Mapping[str, int], name: str) -> dict[str, str]:
        """Properties of a broker beside those all have."""

    def format_arguments(self) -> list[str]:
        """What formatting a broker's storage is told besides."""

    def kafka(self, addresses: str, principal: str | None) -> KafkaSettings:
        """A client's settings, for brokers at these addresses."""

    def registry_properties(self, port: int) -> dict[str, str]:
        """Properties of the registry beside those it always has."""

    def registry(self, port: int, path: str, principal: str | None) -> RegistrySettings:
        """A client's settings for the registry."""


class OpenAccess:
    """Plain text for anybody on this machine."""

    def ports(self, name: str) -> tuple[str, ...]:  # noqa: ARG002 - no broker has any
        """Names of the ports that a broker has besides: none."""
        return ()

    def broker(self, ports: Mapping[str, int], name: str) -> dict[str, str]:
        """Properties of a broker beside those all have."""
        clients, controllers = listeners(ports, name)
        return {
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://{clients},CONTROLLER://{controllers}",
            "advertised.listeners": f"PLAINTEXT://{clients}",
        }

    def format_arguments(self) -> list[str]:
        """What formatting a broker's storage is told besides: nothing."""
        return []

    def kafka(self, addresses: str, principal: str | None) -> KafkaSettings:  # noqa: ARG002 - all are the same
        """A client's settings, for brokers at these addresses."""
        return KafkaSettings(bootstrap_servers=addresses)

    def registry_properties(self, port: int) -> dict[str, str]:
        """Properties of the registry beside those it always has."""
        return {"quarkus.http.port": str(port)}

    def registry(self, port: int, path: str, principal: str | None) -> RegistrySettings:  # noqa: ARG002 - as above
        """A client's settings for the registry."""
        return RegistrySettings(url=f"http://{HOST}:{port}{path}")


class GuardedAccess:
    """TLS, a password a principal, and nothing that no rule allows; certificates name principals at a second listener."""

    def __init__(self, folder: Path) -> None:
        """Take the secrets of a folder, and make those that are not there yet."""
        self._folder = folder
        self._authority = Authority(folder)
        self._principals = sorted(_principals() | {BROKER})
        for principal in self._principals:
            if not self._password_file(principal).exists():
                write_whole(self._password_file(principal), secrets.token_urlsafe(24), mode=_SECRET)

    def ports(self, name: str) -> tuple[str, ...]:
        """Names of the ports that a broker has besides: where clients are told by their certificates."""
        return (certified_port(name),)

    def broker(self, ports: Mapping[str, int], name: str) -> dict[str, str]:
        """Properties of a broker beside those all have."""
        clients, controllers = listeners(ports, name)
        certified = f"{HOST}:{ports[certified_port(name)]}"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        return {
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "listeners": f"SASL_SSL://{clients},SSL://{certified},CONTROLLER://{controllers}",
            "advertised.listeners": f"SASL_SSL://{clients},SSL://{certified}",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                f'{scram} username="{BROKER}" password="{self._password(BROKER)}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._key_store()),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority.certificate),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.controller.ssl.client.auth": "required",
            "listener.name.ssl.ssl.client.auth": "requested",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{BROKER}",
        }

    def format_arguments(self) -> list[str]:
        """What formatting a broker's storage is told besides: the users."""
        users = [f"SCRAM-SHA-512=[name={name},password={self._password(name)}]" for name in self._principals]
        return [word for user in users for word in ("--add-scram", user)]

    def kafka(self, addresses: str, principal: str | None) -> KafkaSettings:
        """A client's settings, for brokers at these addresses."""
        name = principal_name(principal)
        return KafkaSettings(
            bootstrap_servers=addresses,
            security="scram",
            ca_file=self._authority.certificate,
            username=name,
            password_file=self._password_file(name),
        )

    def certified(self, addresses: str, principal: str) -> KafkaSettings:
        """A client's settings for the listener that tells clients by their certificates."""
        certificate, key = self._authority.issue(principal_name(principal))
        return KafkaSettings(
            bootstrap_servers=addresses,
            security="tls",
            ca_file=self._authority.certificate,
            certificate_file=certificate,
            key_file=key,
        )

    def registry_properties(self, port: int) -> dict[str, str]:
        """Properties of the registry beside those it always has: services read, the command line writes."""
        certificate, key = self._authority.issue(BROKER)
        users = "quarkus.security.users.embedded"
        roles = dict.fromkeys(self._principals, "sr-readonly") | {
            f"{_PREFIX}{_ADMIN}": "sr-admin",
            BROKER: "sr-admin",
        }
        return {
            "quarkus.http.insecure-requests": "disabled",
            "quarkus.http.ssl-port": str(port),
            "quarkus.http.ssl.certificate.files": str(certificate),
            "quarkus.http.ssl.certificate.key-files": str(key),
            "quarkus.http.auth.basic": "true",
            "apicurio.auth.role-based-authorization": "true",
            f"{users}.plain-text": "true",
            **{f"{users}.users.{name}": self._password(name) for name in self._principals},
            **{f"{users}.roles.{name}": role for name, role in roles.items()},
        }

    def registry(self, port: int, path: str, principal: str | None) -> RegistrySettings:
        """A client's settings for the registry."""
        name = principal_name(principal)
        return RegistrySettings(
            url=f"https://{HOST}:{port}{path}",
            ca_file=self._authority.certificate,
            username=name,
            password_file=self._password_file(name),
        )

    def _key_store(self) -> Path:
        """The broker's key and certificate in one file, as Kafka wants them."""
        path = self._folder / "broker-store.pem"
        if not path.exists():
            certificate, key = self._authority.issue(BROKER)
            write_whole(path, key.read_text() + certificate.read_text(), mode=_SECRET)
        return path

    def _password_file(self, name: str) -> Path:
        return self._folder / f"{name}.password"

    def _password(self, name: str) -> str:
        return self._password_file(name).read_text(encoding="utf-8")


def principal_name(principal: str | None) -> str:
    """The user of a service; of the cluster itself where it is None."""
    return BROKER if principal is None else f"{_PREFIX}{principal}"


def certified_port(name: str) -> str:
    """Name of the port of a broker at which clients are told by their certificates."""
    return f"{name}-tls"


def listeners(ports: Mapping[str, int], name: str) -> tuple[str, str]:
    """A broker's addresses for clients and for controllers."""
    return f"{HOST}:{ports[name]}", f"{HOST}:{ports[name.replace('kafka', 'controller')]}"


def _principals() -> set[str]:
    """The users of all services that the contracts name."""
    topics = Contracts.load().topics.values()
    return {principal_name(each) for topic in topics for each in (*topic.producers, *topic.consumers)}
