from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_runtime.config import ServiceSettings, unknown_variables
from headgate_runtime.testing import eventually
from pydantic_settings import SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICE = Path(__file__).with_name("sample_service.py")


class Process:
    def __init__(self, out: Path, environment: dict[str, str]) -> None:
        self._out = out
        with out.open("wb") as stdout:
            self.popen = subprocess.Popen(  # noqa: S603 - this interpreter, a file beside this one
                [sys.executable, "-u", str(SERVICE)],
                stdout=stdout,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HEADGATE_SAMPLE_HTTP__PORT": "0", **environment},
            )

    def output(self) -> str:
        return self._out.read_text()

    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url() + path, timeout=5, trust_env=False)

    def url(self) -> str:
        lines = eventually(lambda: [line for line in self.logs() if line["event"] == "control api listening"], 20)
        return str(lines[0]["url"])

    def wait_ready(self) -> None:
        eventually(lambda: self.get("/readyz").status_code == 200, 20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(**environment: str) -> Process:
        settings = {f"HEADGATE_SAMPLE_{name}": value for name, value in environment.items()}
        started.append(Process(tmp_path / f"{len(started)}.out", settings))
        return started[-1]

    yield run
    for process in started:
        process.popen.kill()
        process.popen.wait()


def test_a_signal_drains_while_health_still_answers_then_all_is_closed_in_order(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    done = tmp_path / "done"
    process = start(BUSY_UNTIL=str(done))
    process.wait_ready()
    process.popen.send_signal(signal.SIGTERM)
    eventually(lambda: process.get("/readyz").json() == {"ready": False, "reason": "draining"})
    assert process.get("/healthz").status_code == 200
    done.touch()
    assert process.popen.wait(10) == 0
    order = [line for line in process.output().splitlines() if not line.startswith("{")]
    assert order == ["revoked 2", "worker closed", "service closing", "service closed"]


def test_a_second_signal_ends_the_process_at_once(start: Callable[..., Process], tmp_path: Path) -> None:
    process = start(BUSY_UNTIL=str(tmp_path / "never"))
    process.wait_ready()
    process.popen.send_signal(signal.SIGTERM)
    eventually(lambda: process.get("/readyz").status_code == 503)
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(10) == 128 + signal.SIGTERM


def test_a_signal_while_the_service_closes_after_a_fault_does_not_cut_it_short(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    done = tmp_path / "done"
    process = start(FAULT="in_doubt", CLOSING_UNTIL=str(done))
    eventually(lambda: "service closing" in process.output(), 20)
    process.popen.send_signal(signal.SIGTERM)
    done.touch()
    assert process.popen.wait(10) == 1
    assert "service closed" in process.output()


def test_what_does_not_finish_before_the_deadline_is_left(start: Callable[..., Process], tmp_path: Path) -> None:
    process = start(BUSY_UNTIL=str(tmp_path / "never"), DRAIN_TIMEOUT_S="0.2")
    process.wait_ready()
    process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(10) == 0
    assert "drain deadline passed with work in flight" in [line["event"] for line in process.logs()]


@pytest.mark.parametrize(
    ("fault", "code", "event"),
    [
        ("configuration", 2, "configuration error"),
        ("fenced", 3, "fenced: another instance has taken over"),
        ("in_doubt", 1, "outcome of a commit unknown: the next start settles it"),
        ("unavailable", 1, "stopped by a fault"),
        ("bug", 1, "stopped by an unexpected fault"),
    ],
)
def test_a_fault_is_told_by_exit_code_and_log(start: Callable[..., Process], fault: str, code: int, event: str) -> None:
    process = start(FAULT=fault)
    assert process.popen.wait(20) == code
    last = process.logs()[-1]
    assert (last["event"], last["level"], last["service"]) == (event, "error", "sample")
    assert {"ts", "instance"} <= last.keys()


def test_a_wrong_setting_names_its_variable_and_not_its_content(start: Callable[..., Process]) -> None:
    process = start(DRAIN_TIMEOUT_S="secret-content")
    assert process.popen.wait(20) == 2
    assert "HEADGATE_SAMPLE_DRAIN_TIMEOUT_S" in process.output()
    assert "secret-content" not in process.output()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KAFKA__BOOTSTRAP", "KAFKA__BOOTSTRAP_SERVERS"),
        ("BUSY_UNTILL", "BUSY_UNTIL"),
        ("HTTP_PORT", "HTTP__PORT"),
        ("FAULTS__X", "FAULT"),
    ],
)
def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    start: Callable[..., Process], name: str, meant: str
) -> None:
    process = start(**{name: "secret-content"})
    assert process.popen.wait(20) == 2
    assert process.output() == f"HEADGATE_SAMPLE_{name} is no setting: did you mean HEADGATE_SAMPLE_{meant}?\n"


def test_a_group_of_settings_in_json_takes_no_unknown_name(start: Callable[..., Process]) -> None:
    process = start(KAFKA='{"bootstrap": "secret-content"}')
    assert process.popen.wait(20) == 2
    assert "HEADGATE_SAMPLE_KAFKA__BOOTSTRAP: Extra inputs are not permitted" in process.output()
    assert "secret-content" not in process.output()


def test_variables_that_a_cluster_adds_by_itself_and_free_names_of_mappings_are_no_mistakes() -> None:
    environment = {
        "HEADGATE_SAMPLE_SERVICE_HOST": "10.0.0.1",
        "HEADGATE_SAMPLE_SERVICE_PORT_HTTP": "8080",
        "HEADGATE_SAMPLE_PORT": "tcp://10.0.0.1:8080",
        "HEADGATE_SAMPLE_METRICS_PORT_8080_TCP_ADDR": "10.0.0.1",
        "HEADGATE_SAMPLE_KAFKA__PROPERTIES__LINGER.MS": "5",
        "headgate_sample_http__port": "0",
        "HEADGATE_OTHER_THING": "1",
    }
    assert unknown_variables(Settings, environment) == {}
    assert unknown_variables(Settings, {"HEADGATE_SAMPLE_PORT": "8080"}) == {
        "HEADGATE_SAMPLE_PORT": "HEADGATE_SAMPLE_HTTP__PORT"
    }


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="HEADGATE_SAMPLE_", env_nested_delimiter="__")


def test_a_port_in_use_is_a_configuration_error(start: Callable[..., Process]) -> None:
    first = start()
    port = first.url().rpartition(":")[2]
    second = start(HTTP__PORT=port)
    assert second.popen.wait(20) == 2
    assert "HTTP__PORT" in second.output()
