"""Runs the demo: everything up, events through, trouble on the way, every row checked at the end."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_schemas import Contracts

from headgate_local.command_line import program
from headgate_local.config import inherited_environment
from headgate_local.demo import lakehouse
from headgate_local.demo.disturbances import Disturber, kills, outage
from headgate_local.demo.report import DemoReport
from headgate_local.demo.reviewer import Reviewed, answer_some
from headgate_local.demo.verify import compare, read_topic, values_by_event
from headgate_local.folder import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_local.demo.site import Site

SOURCE_TOPIC = "raw-events"
ENRICHED_TOPIC = "enriched-events"
REVIEWS_TOPIC = "decision-reviews"
METRICS_TOPIC = "decision-metrics"
PURCHASES = ("lifetimes", "lifetimes/datasets/CDNOW_master.txt")
KILLED = ("enricher-0", "writer-0")
KILLS_EACH = 3
OUTAGE_S = 2.0
CHAOS_LOAD_S = 60.0
STALL_S = 90.0
LOOK_S = 0.25
PRODUCER_TIMEOUT_S = 60.0
DISTURBANCES_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class DemoOptions:
    """What a run is asked for.

    Attributes:
        events: Events to send, half real purchases, half synthetic.
        rate: Events a second.
        chaos: Kill the enricher and the writer three times each on the way.
        model_outage: Take the model away for a while in the middle.
        seed: Of the synthetic half.
    """

    events: int = 20_000
    rate: float = 2_000.0
    chaos: bool = False
    model_outage: bool = True
    seed: int = 7

    @property
    def load_s(self) -> float:
        """How long the events take to send; under chaos long enough for every restart to happen under load."""
        planned = self.events / self.rate
        return max(planned, CHAOS_LOAD_S) if self.chaos else planned


def purchases_file() -> Path:
    """The CDNOW purchase log out of the package that carries it."""
    package, inside = PURCHASES
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        raise StackError(f"the demo's data is not installed (package {package}): run `make setup`") from None


class DemoRun:
    """One run on a platform; ``folder`` takes what the producer says."""

    def __init__(self, options: DemoOptions, folder: Path, site: Site, say: Callable[[str], None]) -> None:
        self._options = options
        self._folder = folder
        self._site = site
        self._say = say
        contracts = Contracts.load()
        self._source = contracts.topic(SOURCE_TOPIC)
        enriched = contracts.topic(ENRICHED_TOPIC)
        if enriched.table is None or enriched.table.versions is None:
            raise StackError(f"the contract of {ENRICHED_TOPIC} names no table or no versions of its rows")
        metrics = contracts.topic(METRICS_TOPIC).table
        self._metrics_table = metrics.name if metrics else ""
        self._table_name, self._revision = enriched.table.name, enriched.table.versions.by
        self._dead_letter_topics = sorted(
            {each.dead_letters for each in contracts.topics.values() if each.dead_letters}
        )

    def execute(self) -> DemoReport:
        """Run it all and return what was found; the platform is left afterwards."""
        began = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._site:
            disturber = self._disturber()
            self._say(f"sending {self._options.events:,} events in {self._options.load_s:.0f} s")
            load_began = time.monotonic()
            load = self._start_load()
            disturber.start()
            self._await_rows(load)
            stored_s = time.monotonic()
            disturber.finish(DISTURBANCES_TIMEOUT_S)
            reviewed = self._review()
            self._site.settle()  # nothing may be on its way when the rows are compared
            return self._report(reviewed, disturber, load_began=load_began, stored_s=stored_s, began=began)

    def _disturber(self) -> Disturber:
        load_s, planned = self._options.load_s, []
        if self._options.model_outage:
            enricher_ready = partial(self._site.wait_ready, "enricher")
            bedrock_url = self._site.endpoints.bedrock_url
            planned.append(outage(bedrock_url, enricher_ready, load_s / 2 - OUTAGE_S / 2, OUTAGE_S))
        if self._options.chaos:
            planned += kills(self._site.victims(KILLED), KILLS_EACH, load_s)
        return Disturber(planned, self._say)

    def _start_load(self) -> subprocess.Popen[bytes]:
        options = self._options
        command = [
            *(program(), "produce", "replay", str(purchases_file())),
            *(
                "--mapping",
                "cdnow",
                "--generated",
                str(options.events // 2),
                "--generator",
                "risk-visits",
                "--limit",
                str(options.events),
            ),
            *("--seed", str(options.seed), "--rate", str(options.events / options.load_s)),
            *("--rejects", str(self._folder / "rejects.jsonl"), "--labels", str(self._folder / "labels.jsonl")),
            *("--strict", "--json"),
        ]
        environment = inherited_environment() | self._site.connection("producer").environment("producer")
        with (self._folder / "produce.log").open("wb") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - ours

    def _await_rows(self, load: subprocess.Popen[bytes]) -> None:
        """Wait until as many rows are there as events were sent; give up when nothing moves for a while."""

        def look_at_load() -> None:
            if load.poll():
                log = (self._folder / "produce.log").read_text(encoding="utf-8", errors="replace")
                raise StackError(f"the producer ended with code {load.returncode}:\n{log[-3000:]}")

        try:
            rows = self._await_count(self._options.events, look_at_load)
            if rows >= self._options.events and load.wait(PRODUCER_TIMEOUT_S):
                raise StackError(f"the producer ended with code {load.returncode}: see {self._folder}/produce.log")
        finally:
            load.terminate()
            load.wait()

    def _await_count(self, wanted: int, meanwhile: Callable[[], None] = lambda: None) -> int:
        """Wait until the table has so many rows or nothing moves for a while; returns how many it has."""
        rows, moved_at = 0, time.monotonic()
        while rows < wanted and time.monotonic() - moved_at < STALL_S:
            time.sleep(LOOK_S)
            meanwhile()
            seen = lakehouse.count_rows(lakehouse.open_table(self._site.endpoints.catalog, self._table_name))
            if seen != rows:
                rows, moved_at = seen, time.monotonic()
                self._say(f"{rows:,} of {wanted:,} rows can be queried")
        return rows

    def _review(self) -> Reviewed:
        """Have some of the reviews answered, and wait for the rows that this makes."""
        admin = self._site.connection("admin")
        asked = list(values_by_event(admin.kafka, admin.registry, REVIEWS_TOPIC))
        decisions = {event_id: review["agent_metadata"]["decision"] for event_id, review in asked}
        answers = answer_some(decisions, self._site.admin)
        self._say(f"a reviewer answered {len(answers)} of {len(asked)} reviews")
        self._await_count(self._options.events + len(answers))
        return Reviewed(Counter(event_id for event_id, _ in asked), answers)

    def _report(
        self, reviewed: Reviewed, disturber: Disturber, *, load_began: float, stored_s: float, began: float
    ) -> DemoReport:
        catalog, admin = self._site.endpoints.catalog, self._site.connection("admin")
        self._say("comparing every row with the event that went in")
        events = dict(values_by_event(admin.kafka, admin.registry, SOURCE_TOPIC))
        table = lakehouse.open_table(catalog, self._table_name)
        if table is None:
            raise StackError(f"the table {self._table_name} was never made: nothing was committed")
        killed = {name: disturber.done[f"kill -9 {name}"] for name in KILLED}
        return DemoReport(
            comparison=compare(events, lakehouse.rows(table), self._source.fields.event_id or ""),
            reviewed=reviewed,
            expected_events=self._options.events,
            metric_rows=lakehouse.count_rows(lakehouse.open_table(catalog, self._metrics_table)),
            dead_letters=sum(1 for topic in self._dead_letter_topics for _ in read_topic(admin.kafka, topic)),
            freshness_ms=lakehouse.freshness_ms(table, "processing_metadata.ingestion_time", self._revision),
            kills={name: len(times) for name, times in killed.items() if self._options.chaos},
            kills_before_last_row=sum(at_s < stored_s for times in killed.values() for at_s in times),
            elapsed_s=stored_s - load_began,
            total_s=time.monotonic() - began,
        )


def write_report(report: DemoReport, folder: Path) -> Path:
    """Write report.json and return its path."""
    path = folder / "report.json"
    path.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return path
