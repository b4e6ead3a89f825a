"""The writer's start before there is a worker: everything imported, nothing opened."""

from __future__ import annotations

import socket
import sys

import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_writer.config import Settings
from headgate_writer.starting import preload


def settings(**catalog: str) -> Settings:
    return Settings(catalog=catalog, lineage={"transport": {"type": "console"}})


@pytest.mark.parametrize(("kind", "client"), [("rest", "rest_catalog"), ("sql", "sql_catalog")])
def test_the_keeper_imports_what_a_worker_needs_and_opens_nothing(
    kind: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened before the fork"))
    preload(settings(type=kind))
    assert {f"headgate_writer.{name}" for name in ("app", client, "lineage.assembly")} <= sys.modules.keys()


def test_a_catalog_nobody_knows_ends_the_start() -> None:
    with pytest.raises(ConfigurationError, match="'hive' cannot be used"):
        preload(settings(type="hive"))
