"""The alternatives, each a function from a workload to its bill."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from headgate_admin.cost.alternatives.shared import (
    calls_per_s,
    firehose,
    gb_a_month,
    kpus_month,
    shards,
    stream,
    table,
)
from headgate_admin.cost.lines import Line, bill, model_line
from headgate_admin.cost.sizing import DAY_S, GB, MIB, enricher_us
from headgate_admin.cost.workload import HOURS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload

    Bill = Callable[[Workload, Book], list[Line]]


def confluent(work: Workload, book: Book) -> list[Line]:
    """Confluent Cloud: a Standard cluster, Flink statements with agents, Tableflow into Iceberg."""
    figures, prices, rate = book.measured, book.prices, work.events_per_s
    raw, enriched = rate * figures.value("bytes.raw"), rate * figures.value("bytes.enriched")
    peak = (raw + enriched) * figures.value("kafka.peak") / MIB
    eckus = max(1, math.ceil(peak / figures.value("confluent.ecku_mib")))
    moved = gb_a_month(
        (raw + enriched) + (raw + enriched)
    )  # in; out to the statement that decides and the one that counts
    kept = (raw + enriched) * work.retention_days * DAY_S / GB
    cfus = math.ceil(figures.value("confluent.statements")) * max(
        1, math.ceil(rate / figures.value("confluent.events"))
    )
    stored = gb_a_month(enriched)
    tableflow = HOURS * prices.value("confluent.tableflow_topic") + stored * prices.value("confluent.tableflow_data")
    return [
        Line("eCKU", eckus * HOURS * prices.value("confluent.ecku"), f"{eckus}", ("confluent.ecku",)),
        Line("data in and out", moved * prices.value("confluent.data"), f"{moved:,.0f} GB", ("confluent.data",)),
        Line("topics' storage", kept * prices.value("confluent.storage"), f"{kept:,.0f} GB", ("confluent.storage",)),
        Line("Flink", cfus * HOURS * prices.value("confluent.cfu"), f"{cfus} CFU", ("confluent.cfu",)),
        Line("Tableflow", tableflow, f"{stored:,.0f} GB", ("confluent.tableflow_topic", "confluent.tableflow_data")),
        table(work, book),
        model_line(calls_per_s(work, book), work.model, book),
    ]


def kinesis_lambda(work: Workload, book: Book) -> list[Line]:
    """Kinesis, a Lambda function that decides with its memory in DynamoDB, Firehose into Iceberg."""
    figures, prices, events = book.measured, book.prices, work.events_a_month / 1e6
    invoked, seconds = invocations(work, book)
    gb_s = invoked * SECONDS * seconds * figures.value("lambda.memory")
    function = gb_s * prices.value("lambda.compute") + invoked * SECONDS / 1e6 * prices.value("lambda.requests")
    memory = events * (prices.value("dynamodb.write") + prices.value("dynamodb.read"))
    quantity = f"{invoked * SECONDS / 1e6:,.1f}M invocations of {seconds * 1000:,.0f} ms"
    return [
        stream(work, book),
        Line("Lambda", function, quantity, ("lambda.compute", "lambda.requests")),
        Line("DynamoDB", memory, f"{events:,.0f}M reads, {events:,.0f}M writes", ("dynamodb.write", "dynamodb.read")),
        firehose(work, book),
        table(work, book),
        model_line(calls_per_s(work, book), work.model, book),
    ]


def invocations(work: Workload, book: Book) -> tuple[float, float]:
    """Lambda's invocations a second, and seconds each: a batch waits for the slowest of its calls, which are made together."""
    figures, rate = book.measured, work.events_per_s
    if rate == 0:
        return 0.0, 0.0
    waiting = rate / shards(work, book) * work.commit_interval_s
    batch = min(figures.value("lambda.batch"), max(1.0, waiting))
    asks = 1 - (1 - work.model_share) ** batch
    waits = asks * figures.value("model.wait") * figures.value("model.calls")
    cpu = batch * enricher_us(work.model_share, figures) / 1e6
    return rate / batch, figures.value("lambda.overhead") + cpu + waits


def managed_flink(work: Workload, book: Book) -> list[Line]:
    """Kinesis, an application of Managed Service for Apache Flink that decides, Firehose into Iceberg."""
    figures = book.measured
    kpus = max(1, math.ceil(work.events_per_s * figures.value("kafka.peak") / figures.value("flink.events")))
    kpus += int(figures.value("flink.orchestration"))
    return [
        stream(work, book),
        Line("Managed Flink", kpus_month(kpus, book), f"{kpus} KPU", ("flink.kpu", "flink.storage")),
        firehose(work, book),
        table(work, book),
        model_line(calls_per_s(work, book), work.model, book),
    ]


BILLS: Final[Mapping[str, Bill]] = {
    "Headgate": bill,
    "Confluent Cloud + Flink": confluent,
    "Kinesis + Lambda": kinesis_lambda,
    "Managed Flink + Firehose": managed_flink,
}
"""By name, Headgate first."""


def total(name: str, work: Workload, book: Book) -> float:
    """US dollars a month."""
    return sum(line.monthly_usd for line in BILLS[name](work, book))
