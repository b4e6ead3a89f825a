"""The data folder: one holder, remembered ports, files that appear whole, settings from the environment."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from headgate_local.config import BrokerSettings, LocalSettings
from headgate_local.endpoints import Endpoints
from headgate_local.folder import FolderLock, InUseError, Memory, StackError, write_whole
from headgate_local.ports import HOST, answers, choose_ports
from pydantic import ValidationError


def test_a_held_folder_is_refused_with_its_holder(tmp_path: Path) -> None:
    holder = FolderLock(tmp_path)
    holder.acquire()
    code = (
        "import sys; from pathlib import Path; from headgate_local.folder import FolderLock\n"
        "FolderLock(Path(sys.argv[1])).acquire()"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert other.returncode == 1
    assert "InUseError" in other.stderr
    assert "is in use by process" in other.stderr
    with pytest.raises(InUseError):
        FolderLock(tmp_path).acquire()
    holder.release()
    FolderLock(tmp_path).acquire()


def test_free_ports_differ_and_a_remembered_one_stays() -> None:
    first = choose_ports(["a", "b", "c"], {})
    assert len(set(first.values())) == 3
    again = choose_ports(["c", "a", "new"], first)
    assert (again["a"], again["c"]) == (first["a"], first["c"])
    assert again["new"] not in {first["a"], first["c"]}


def test_a_remembered_port_that_is_taken_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert answers(port)
        assert choose_ports(["a"], {"a": port})["a"] != port
    assert not answers(port)


def test_memory_is_kept_and_a_new_one_has_a_kafka_cluster_id(tmp_path: Path) -> None:
    memory = Memory.load(tmp_path)
    memory.ports["kafka"] = 1234
    memory.save(tmp_path)
    assert Memory.load(tmp_path) == memory
    assert len(memory.cluster_id) == 22


def test_a_secret_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write_whole(path, "secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_endpoints_are_read_as_written_and_absent_when_nothing_is_up(tmp_path: Path) -> None:
    assert Endpoints.read(tmp_path) is None
    (tmp_path / "token").write_text("secret\n")
    endpoints = Endpoints(
        bootstrap_servers="127.0.0.1:1",
        registry_url="http://127.0.0.1:2",
        bedrock_url="http://127.0.0.1:3",
        catalog={"name": "headgate", "type": "sql"},
        services={"writer": "http://127.0.0.1:4"},
        control_token_file=tmp_path / "token",
    )
    endpoints.write(tmp_path)
    assert Endpoints.read(tmp_path) == endpoints
    assert endpoints.control_token() == "secret"


def test_damaged_endpoints_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    with pytest.raises(StackError, match="remove it and start again"):
        Endpoints.read(tmp_path)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADGATE_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert LocalSettings().cache == Path.home() / ".cache" / "headgate"
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert LocalSettings().cache == Path("/somewhere/headgate")
    monkeypatch.setenv("HEADGATE_CACHE_DIR", "/elsewhere")
    assert LocalSettings().cache == Path("/elsewhere")


def test_half_given_brokers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_TEST_BOOTSTRAP", "127.0.0.1:9092")
    monkeypatch.delenv("HEADGATE_TEST_REGISTRY", raising=False)
    with pytest.raises(ValidationError, match="set both"):
        BrokerSettings()
