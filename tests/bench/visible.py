"""How soon a record can be read from its table: from the call that produces it to the first look that finds its row."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from headgate_runtime.records import OutgoingRecord
from headgate_writer.positions import positions_of
from pyiceberg.catalog import load_catalog

from tests.bench.parquet_rows import TOPIC
from tests.load.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

    from tests.bench.storing import Bench

LOOK_S = 0.02
SEEN_WITHIN_S = 30.0


def ages_ms(bench: Bench, *, per_s: float, seconds: float) -> list[float]:
    """Send values at a steady rate to a writer with its own settings; return each one's age when it is seen."""
    count, partitions = int(per_s * seconds), bench.contracts.topic(TOPIC).partitions
    sent_s: list[list[float]] = [[] for _ in range(partitions)]
    with bench.writing():
        thread = threading.Thread(target=_send, args=(bench, Pace(per_s, count), sent_s), name="sender")
        thread.start()
        try:
            return _watch(bench, sent_s, count)
        finally:
            thread.join()


def _send(bench: Bench, pace: Pace, sent_s: list[list[float]]) -> None:
    with closing(bench.producer()) as producer:
        number = 0
        while not pace.over:
            for _ in range(pace.due()):
                partition = number % len(sent_s)
                sent_s[partition].append(time.monotonic())
                value = bench.values[number % len(bench.values)]
                producer.send(OutgoingRecord(TOPIC, None, value, partition=partition))
                number += 1
            producer.poll()
            time.sleep(0.001)
        producer.flush(10)


def _watch(bench: Bench, sent_s: list[list[float]], count: int) -> list[float]:
    catalog = load_catalog(**bench.stack.catalog)
    found: list[float] = []
    seen, deadline_s = [0] * len(sent_s), time.monotonic() + count / 1000 + SEEN_WITHIN_S
    while len(found) < count:
        stored, now_s = _stored(bench, catalog), time.monotonic()
        for partition, end in stored.items():
            found += [(now_s - sent) * 1000 for sent in sent_s[partition][seen[partition] : end]]
            seen[partition] = end
        if now_s > deadline_s:
            raise TimeoutError(f"{count - len(found)} of {count} records were not stored in time")
        time.sleep(LOOK_S)
    return sorted(found)


def _stored(bench: Bench, catalog: Catalog) -> Mapping[int, int]:
    """The table's offset map as its head has it now."""
    snapshot = catalog.load_table(bench.table.name).current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return {}
    positions = positions_of(iter([snapshot.summary.additional_properties]))
    return next(iter(positions.topics.values()), {}) if positions else {}
