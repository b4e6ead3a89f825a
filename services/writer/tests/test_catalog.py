"""Opening catalogs: what is refused, and how long one that hangs is waited for."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_writer.catalog import DEFAULTS, TIMEOUT_PROPERTY, open_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REST = {"type": "rest", "uri": "http://127.0.0.1:9"}
WITH_TOKEN = {"credential": "local:local-secret", "oauth2-server-uri": "http://127.0.0.1:{port}/v1/oauth/tokens"}
SIGNED = {
    "rest.sigv4-enabled": "true",
    "rest.signing-name": "glue",
    "client.region": "us-east-1",
    "client.access-key-id": "local",
    "client.secret-access-key": "local-secret",
}


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({"type": "no-such-type", "uri": "x"}, "rest"),
        ({"type": "glue", "uri": "x"}, "rest"),
        ({"uri": "http://127.0.0.1:9"}, "rest"),
        ({"type": "rest"}, "uri"),
        (REST | {TIMEOUT_PROPERTY: "soon"}, "number of seconds"),
        (REST | {TIMEOUT_PROPERTY: "0"}, "number of seconds"),
        ({"type": "sql", "uri": "no address"}, "no database's address"),
        ({"type": "sql", "uri": "postgresql+none://127.0.0.1/db"}, "no database's address"),
    ],
)
def test_properties_that_describe_no_catalog_are_a_configuration_error(
    properties: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        open_catalog(properties)


def test_a_database_driver_that_can_wait_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlalchemy.dialects.postgresql.pg8000.PGDialect_pg8000.driver", "another")
    with pytest.raises(ConfigurationError, match="pg8000"):
        open_catalog({"type": "sql", "uri": "postgresql+pg8000://user@127.0.0.1:9/db"})


def test_a_signed_catalog_without_credentials_says_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**nowhere, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    keyless = {key: value for key, value in SIGNED.items() if "key" not in key}
    with pytest.raises(ConfigurationError, match="give the process a role"):
        open_catalog(REST | keyless)


@pytest.mark.parametrize(
    "properties",
    [
        {"type": "rest", "uri": "http://127.0.0.1:{port}"},
        {"type": "rest", "uri": "http://127.0.0.1:{port}", **WITH_TOKEN},
        {"type": "rest", "uri": "http://127.0.0.1:{port}", **SIGNED},
        {"type": "sql", "uri": "postgresql+pg8000://user@127.0.0.1:{port}/db"},
    ],
    ids=["rest", "rest with a token", "rest with signatures", "postgresql"],
)
def test_a_catalog_that_hangs_is_unavailable_after_its_time_out(silent: int, properties: dict[str, str]) -> None:
    own = {key: value.format(port=silent) for key, value in properties.items()} | {TIMEOUT_PROPERTY: "0.2"}
    began_s = time.monotonic()
    with pytest.raises(UnavailableError, match=r"(?i)timed ?out"):
        open_catalog(own)
    assert time.monotonic() - began_s < 3


def test_a_store_is_waited_for_with_a_time_out_unless_another_is_given(tmp_path: Path) -> None:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "s3.request-timeout": "7"}
    opened = open_catalog(properties).properties
    assert opened["s3.connect-timeout"] == DEFAULTS["s3.connect-timeout"]
    assert opened["s3.request-timeout"] == "7"
