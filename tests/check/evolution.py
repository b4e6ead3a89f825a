"""A new version of the event goes through the running platform, replica by replica, while events come in.

Two producers, two enrichers and two writers, real processes on the embedded stack, first read and write what the shipped
contracts say. Then the next version is registered and they are replaced one by one: writers, enrichers, producers; what
reads goes first. Run it by ``make check-evolution``; the figures go to ``build/check/evolution.json``, logs and data to the
folder beside it, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from headgate_local.demo.lakehouse import count_rows, open_table
from headgate_local.demo.verify import read_topic
from headgate_local.platform import Platform, Replicas
from headgate_local.processes import ServiceProcess
from headgate_runtime.config import KafkaSettings
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts

from tests.check.next_version import FIELDS, grown, release_next
from tests.load.bounds import ROOT, Bound, report
from tests.load.posting import Posting

if TYPE_CHECKING:
    from pyiceberg.table import Table

TABLE = "lakehouse.enriched_events"
FOLDER = ROOT / "build" / "check" / "evolution"
RATE = 200.0
SIDE_BY_SIDE = 600  # events between two replacements
SERVICES = (
    Replicas("enricher", 2),
    Replicas("reviews", module="headgate_enricher.reviews"),
    Replicas("processor"),
    Replicas("writer", 2, {"HEADGATE_WRITER_COMMIT_INTERVAL_S": "0.5"}),
    Replicas("producer", 2),
)
# Who reads what nobody writes yet goes first; the producers, who write it, last.
ORDER = ("writer-0", "writer-1", "processor-0", "reviews-0", "enricher-0", "enricher-1", "producer-0", "producer-1")
TIMEOUT_S = 90.0
BOUNDS = (
    Bound("events", at_least=len(ORDER) * SIDE_BY_SIDE),
    *(Bound(name, at_most=0) for name in ("lost", "doubled", "dead_letters", "old_rows_not_null", "new_rows_null")),
    *(Bound(name, at_least=1) for name in ("columns_gained", "rows_of_the_old_version", "rows_of_the_new_version")),
    Bound("longest_without_acceptance_s", at_most=5),
    Bound("longest_without_commit_s", at_most=15),
)


def main() -> int:
    """Roll, compare, print and write the figures; 1 where one is out of bounds."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    newer = release_next(FOLDER / "contracts")
    with Platform(FOLDER / "platform", services=SERVICES) as platform:
        figures, sent = measure(platform, newer)
    return report("check", "evolution", figures, BOUNDS, {"order": ORDER, "sent_by_step": sent})


def measure(platform: Platform, newer: Contracts) -> tuple[dict[str, float], dict[str, int]]:
    """Roll the next version through the platform under load; returns figures, and events sent by the end of each step."""
    steps: dict[str, int] = {}
    posting = Posting(platform.endpoints, [platform.url(name) for name in ("producer-0", "producer-1")], RATE, grown)
    with posting:
        settle(platform, posting)
        before = set(stored(platform).schema().column_names)
        steps["before"] = posting.accepted
        platform.admin("schemas", "register", "--contracts", str(newer.directory))
        for name in ORDER:
            roll(platform, name, newer)
            if name.startswith("producer"):
                posting.newer.add(platform.url(name))
            settle(platform, posting)
            steps[name] = posting.accepted
    eventually(lambda: count_rows(stored(platform)) >= posting.accepted, TIMEOUT_S)
    table = stored(platform)
    figures: dict[str, float] = {
        "events": posting.accepted,
        "columns_gained": len(set(table.schema().column_names) - before),
        "dead_letters": dead_letters(platform),
        **rows(table, posting.ids),
        "longest_without_acceptance_s": round(posting.longest_gap_s, 1),
        "longest_without_commit_s": round(longest_without_commit_s(table), 1),
    }
    return figures, steps


def roll(platform: Platform, name: str, contracts: Contracts) -> None:
    """Replace a replica by one with newer contracts, as a rolling update does: it drains, ends, and the next one starts."""
    old = platform.processes[name]
    code = old.stop()
    if code != 0:
        raise RuntimeError(f"{name} ended with {code} where it was to drain: see {old.spec.log}")
    service = name.rpartition("-")[0].upper()
    environment = {**old.spec.environment, f"HEADGATE_{service}_CONTRACTS_DIR": str(contracts.directory)}
    new = platform.processes[name] = ServiceProcess(replace(old.spec, environment=environment))
    new.start()
    new.wait_ready()


def settle(platform: Platform, posting: Posting) -> None:
    """Let events pass, from the producers into the table, with the replicas as they are now."""
    wanted = posting.accepted + SIDE_BY_SIDE
    eventually(lambda: posting.accepted >= wanted, TIMEOUT_S)
    eventually(lambda: count_rows(open_table(platform.endpoints.catalog, TABLE)) >= wanted, TIMEOUT_S)


def stored(platform: Platform) -> Table:
    """The table as it stands now."""
    table = open_table(platform.endpoints.catalog, TABLE)
    if table is None:
        raise RuntimeError("the writers made no table: see their logs")
    return table


def rows(table: Table, sent: set[str]) -> dict[str, float]:
    """What became of the events that were accepted, and whether rows have the new fields where they should."""
    found = table.scan(selected_fields=("event_id", "payload")).to_arrow().to_pylist()
    ids = Counter(row["event_id"] for row in found)
    old = [row for row in found if row["event_id"].startswith("old-")]
    new = [row for row in found if row["event_id"].startswith("new-")]
    return {
        "lost": len(sent - set(ids)),
        "doubled": len(found) - len(ids),
        "rows_of_the_old_version": len(old),
        "rows_of_the_new_version": len(new),
        "old_rows_not_null": sum(any(value is not None for value in gained(row)) for row in old),
        "new_rows_null": sum(any(value is None for value in gained(row)) for row in new),
    }


def gained(row: dict[str, Any]) -> list[Any]:
    """A row's values of the new fields."""
    attributes = row["payload"]["attributes"]
    return [attributes[field["name"]] for field in FIELDS]


def dead_letters(platform: Platform) -> int:
    """Records given up on, by anyone."""
    topics = {topic.dead_letters for topic in Contracts.load().topics.values() if topic.dead_letters}
    kafka = KafkaSettings(bootstrap_servers=platform.endpoints.bootstrap_servers)
    return sum(sum(1 for _ in read_topic(kafka, topic)) for topic in topics)


def longest_without_commit_s(table: Table) -> float:
    """The longest time between two snapshots."""
    return max(b.timestamp_ms - a.timestamp_ms for a, b in pairwise(table.metadata.snapshots)) / 1000


if __name__ == "__main__":
    sys.exit(main())
