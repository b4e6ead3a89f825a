"""Secrets and certificates of a secured stack, without starting one."""

from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from headgate_local.access import BROKER, GuardedAccess, OpenAccess
from headgate_local.certificates import Authority
from headgate_local.folder import Memory, StackError
from headgate_local.security import Security
from headgate_local.stack import Stack
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from pathlib import Path

PORTS = {"kafka": 1, "controller": 2, "kafka-tls": 3}


def test_every_service_of_the_contracts_has_a_password_of_its_own_that_only_its_owner_may_read(tmp_path: Path) -> None:
    access = GuardedAccess(tmp_path / "secrets")
    services = {each for topic in Contracts.load().topics.values() for each in (*topic.producers, *topic.consumers)}
    files = [access.kafka("b:1", service).password_file for service in services]
    passwords = {path.read_text() for path in files if path is not None}
    assert len(passwords) == len(services)
    secret = [path for path in (tmp_path / "secrets").iterdir() if path.suffix in {".password", ".key"}]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_secrets_stay_over_a_restart(tmp_path: Path) -> None:
    first, second = (GuardedAccess(tmp_path).format_arguments() for _ in range(2))
    assert first == second


def test_brokers_allow_nothing_that_no_rule_allows_and_controllers_take_only_each_other(tmp_path: Path) -> None:
    settings = GuardedAccess(tmp_path).broker(PORTS, "kafka")
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert settings["super.users"] == f"User:{BROKER}"
    assert settings["listener.name.controller.ssl.client.auth"] == "required"
    assert "PLAINTEXT" not in settings["listeners"]


def test_a_certificate_is_by_the_authority_and_names_its_principal(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate_file, key_file = authority.issue("headgate-writer")
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate.read_bytes()))
    assert certificate.subject.rfc4514_string() == "CN=headgate-writer"
    ssl.create_default_context(cafile=authority.certificate).load_cert_chain(certificate_file, key_file)
    assert Authority(tmp_path).issue("headgate-writer") == (certificate_file, key_file)


def test_an_open_stack_knows_no_principals() -> None:
    access = OpenAccess()
    assert access.kafka("b:1", "writer") == access.kafka("b:1", None)
    assert access.format_arguments() == []


def test_a_folder_keeps_the_security_of_its_first_run(tmp_path: Path) -> None:
    Memory(security=Security.SCRAM).save(tmp_path)
    with pytest.raises(StackError, match="was made with security scram"):
        Stack(tmp_path, brokers=0, registry=False).start()
    with pytest.raises(StackError, match="knows no certificates"):
        Stack(tmp_path).certified_kafka("writer")
