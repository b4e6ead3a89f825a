"""A real Prometheus beside the platform: what rules make of a healthy system, and of one whose model is away."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from headgate_local.http_ready import http_not_ready
from headgate_local.platform import SERVICES, Platform, Replicas
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_local.progress import PlainProgress
from headgate_runtime.testing import eventually

from tests.check.queries import PROMETHEUS, rules
from tests.integration.enrichers import free_port
from tests.load.model import Model
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PER_S, SHARE, KEYS = 150.0, 0.05, 5_000
MOST_S = 900.0
WARM_CALLS, WARM_S = 50, 60.0
HEALTHY_S, OUTAGE_S = 90.0, 420.0
LOOK_EVERY_S = 1.0
BUDGET = [{"scope": "agent", "name": "risk", "window": "day", "cost_microdollars": 10**9, "tokens": 10**9}]
SETTINGS: Mapping[str, Mapping[str, str]] = {
    # Events of a pool come again and again: each is to be asked about.
    "enricher": {"HEADGATE_ENRICHER_BUDGET__LIMITS": json.dumps(BUDGET), "HEADGATE_ENRICHER_CACHED_ANSWERS": "0"},
    "writer": {"HEADGATE_WRITER_MAINTAIN__INTERVAL_S": "5"},
}
MODEL_AWAY = {"HeadgateModelBreakerOpen", "HeadgateFallbackShareHigh"}
# Their conditions hold here for as long as anybody looks: files wait an hour to be deleted, and nobody answers reviews.
USUAL = {"HeadgateDeletionStuck", "HeadgateReviewsUnanswered"}


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False)

    def alerts(self, state: str) -> set[str]:
        """Names of the alerts that are ``pending`` or ``firing``."""
        found = self._get("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == state}

    def unsampled(self) -> set[str]:
        """Names of the recording rules that have no sample now."""
        records = {str(rule.record) for rule in rules() if rule.record is not None}
        return {record for record in records if not self._get("/api/v1/query", query=record)["result"]}

    def failing(self) -> set[str]:
        """Names of the rules that cannot be evaluated."""
        groups = self._get("/api/v1/rules")["groups"]
        return {rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"}

    def _get(self, path: str, **parameters: str) -> Any:
        return self._http.get(path, params=parameters).raise_for_status().json()["data"]


def figures(prometheus: str) -> dict[str, float]:
    """Run platform, traffic and Prometheus; returns figures as parts of the deployment's check have them."""
    services = [Replicas(each.name, each.count, dict(SETTINGS.get(each.name, {})), each.module) for each in SERVICES]
    began_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Platform(Path(scratch), services=services, progress=PlainProgress(sys.stderr)) as platform,
        sending(platform),
    ):
        # What a first event takes is no alert's business.
        eventually(lambda: Model(platform.endpoints.bedrock_url).stats()["calls"] > WARM_CALLS, WARM_S)
        with watching(prometheus, Path(scratch), platform) as watcher:
            found = healthy(watcher) | outage(watcher, platform)
    return found | {"live_s": round(time.monotonic() - began_s)}


def healthy(watcher: Prometheus) -> dict[str, float]:
    """Look on while nothing is wrong; at the end no condition may hold either, however long it would have to."""
    seen: set[str] = set()
    for _ in every_second(HEALTHY_S):
        seen |= watcher.alerts("firing")
    seen |= watcher.alerts("pending") - USUAL
    unsampled, failing = watcher.unsampled(), watcher.failing()
    say("alerts on a healthy system", seen)
    say("recording rules without a sample", unsampled)
    say("rules that cannot be evaluated", failing)
    return {"live_quiet": float(not seen), "live_rules_sampled": float(not unsampled | failing)}


def outage(watcher: Prometheus, platform: Platform) -> dict[str, float]:
    """Kill the model's endpoint for good, and wait for what has to fire."""
    platform.processes["bedrock-local"].stop(timeout_s=0)
    fired: set[str] = set()
    for _ in every_second(OUTAGE_S):
        fired = watcher.alerts("firing")
        if fired >= MODEL_AWAY:
            break
    say("alerts that fire while the model is away", fired)
    return {"live_model_away_fires": float(fired == MODEL_AWAY)}


@contextmanager
def watching(prometheus: str, folder: Path, platform: Platform) -> Iterator[Prometheus]:
    """Run Prometheus on the tree's configuration, which finds the platform's processes instead of compose's."""
    port, written = free_port(), folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(configuration(platform)), "utf-8")
    command = [
        prometheus,
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    url = f"http://{HOST}:{port}"
    process = ServiceProcess(ProcessSpec("prometheus", command, folder, lambda: http_not_ready(f"{url}/-/ready")))
    process.start()
    try:
        process.wait_ready()
        yield Prometheus(url)
    finally:
        process.stop()


def configuration(platform: Platform) -> dict[str, Any]:
    """The tree's configuration, its jobs pointed at the platform's processes, and looking every second."""
    written: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    urls = platform.endpoints.services
    jobs = {f"headgate-{name}": url.removeprefix("http://") for name, url in urls.items()}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(PROMETHEUS / pattern) for pattern in written["rule_files"]],
        "scrape_configs": [
            {"job_name": job["job_name"], "static_configs": [{"targets": [jobs[job["job_name"]]]}]}
            for job in written["scrape_configs"]
            if job["job_name"] in jobs
        ],
    }


@contextmanager
def sending(platform: Platform) -> Iterator[None]:
    """Send events at a steady rate, some of them for the model, from a thread of its own."""
    over = threading.Event()
    traffic, pace = Traffic(platform.endpoints, keys=KEYS), Pace(PER_S, int(PER_S * MOST_S))

    def send() -> None:
        while not over.wait(0.05):
            traffic.send(pace.due(), SHARE)

    thread = threading.Thread(target=send, name="traffic")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        traffic.close()


def every_second(most_s: float) -> Iterator[None]:
    """Let the caller look every second until the time is over."""
    deadline_s = time.monotonic() + most_s
    while time.monotonic() < deadline_s:
        yield
        time.sleep(LOOK_EVERY_S)


def say(what: str, found: set[str]) -> None:
    """Print what was found."""
    print(f"{what}: {', '.join(sorted(found)) or 'none'}", file=sys.stderr)  # noqa: T201 - a check's report
