"""From one event a second to a million: what grows, what it costs, and which limit is met. Calculation, not measurement."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from headgate_admin.cost.estimate import estimate
from headgate_admin.cost.sizing import DAY_S, MIB, size
from headgate_admin.cost.tables import Sheet, rate, usd
from headgate_admin.cost.workload import Workload

if TYPE_CHECKING:
    from headgate_admin.cost.figures import Book

RATES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0)
_MANY: Final = 1e6
_NODES: Final = ("m7g.large", "m7g.2xlarge")
_BROKERS: Final = ("kafka.m7g.large", "kafka.m7g.xlarge", "kafka.m7g.2xlarge", "kafka.m7g.4xlarge")


def chosen(events_per_s: float, book: Book) -> Workload:
    """What would be built for a rate: the cheapest nodes and brokers."""
    choices = product(_NODES, _BROKERS)
    works = [Workload(events_per_s=events_per_s, node=node, broker=broker) for node, broker in choices]
    return min(works, key=lambda work: estimate(work, book).monthly_usd)


def sheets(book: Book) -> list[Sheet]:
    """The tables of the page."""
    works = [chosen(events_per_s, book) for events_per_s in RATES]
    return [_compute(works, book), _kafka(works, book), _lake(works, book), _model(works, book), _money(works, book)]


def _compute(works: list[Workload], book: Book) -> Sheet:
    rows = []
    for work in works:
        sized = size(work, book)
        counts = (f"{sized.replicas[name]:,}" for name in ("producer", "enricher", "processor", "writer"))
        rows.append(
            (rate(work.events_per_s), *counts, f"{sum(sized.cpu_s.values()):,.2f}", f"{sized.nodes} x {work.node}")
        )
    columns = ("rate", "producers", "enrichers", "processors", "writers", "cores busy", "nodes")
    return Sheet("compute", "Processes and nodes", columns, rows)


def _kafka(works: list[Workload], book: Book) -> Sheet:
    rows = []
    for work in works:
        sized = size(work, book)
        cells = (f"{sized.partitions}", f"{sized.brokers} x {work.broker}", f"{sized.traffic.written / MIB:,.2f}")
        rows.append((rate(work.events_per_s), *cells, f"{sized.kafka_gb:,.0f}"))
    columns = ("rate", "partitions of a topic", "brokers", "MiB/s written", "GB provisioned for 7 days")
    return Sheet("kafka", "Kafka", columns, rows)


def _lake(works: list[Workload], book: Book) -> Sheet:
    limit = book.measured.value("limit.commits")
    rows = []
    for work in works:
        sized = size(work, book)
        needed = sized.replicas["writer"] / limit
        interval = "1 s" if needed <= 1 else f"{needed:.1f} s"
        day_gb = sized.table_gb / work.table_days
        cells = (f"{sized.commits_per_s:,.0f}", f"{sized.commits_per_s * DAY_S:,.0f}", f"{day_gb:,.2f}")
        rows.append((rate(work.events_per_s), *cells, interval))
    columns = (
        "rate",
        "commits/s",
        "snapshots and files a day",
        "GB a day in the table",
        "least interval for all writers",
    )
    return Sheet("lake", "The table, at an interval of 1 s", columns, rows)


def _model(works: list[Workload], book: Book) -> Sheet:
    figures = book.measured
    tokens = figures.value("model.input_tokens") + figures.value("model.output_tokens")
    quota = figures.value("quota.amazon.nova-micro")
    keys_s, held = figures.value("keys.events") / DAY_S, figures.value("limit.memory_keys")
    rows = []
    for work in works:
        sized = size(work, book)
        minute = sized.calls_per_s * tokens * 60
        keys = work.events_per_s / keys_s / sized.replicas["enricher"]
        cells = (
            f"{sized.calls_per_s:,.2f}",
            f"{minute / 1e6:,.2f}M",
            f"{minute / quota:,.2f}",
            f"{2 * sized.calls_per_s:,.1f}",
        )
        rows.append((rate(work.events_per_s), *cells, f"{keys:,.0f}", f"{min(1.0, held / max(keys, 1)):.0%}"))
    columns = (
        "rate", "calls/s", "tokens/minute", "of Nova Micro's quota", "ledger entries/s", "keys an enricher", "in memory",
    )  # fmt: skip
    return Sheet("model", "Model, budget ledger and memory, 2 % of events at the model", columns, rows)


def _money(works: list[Workload], book: Book) -> Sheet:
    rows = []
    for work in works:
        found = estimate(work, book)
        tokens = next(entry.line.monthly_usd for entry in found.entries if entry.line.prices == (work.model,))
        rest = found.monthly_usd - tokens
        cells = (
            usd(amount) for amount in (found.monthly_usd, rest, *map(found.per_million, (found.monthly_usd, rest)))
        )
        rows.append((rate(work.events_per_s), *cells))
    columns = ("rate", "a month", "without tokens", "a million events", "a million without tokens")
    return Sheet("money", "What it costs", columns, rows)


def limits(book: Book) -> Sheet:
    """The rate at which each limit is met, with 2 % of events at Nova Micro and the defaults."""
    figures = book.measured
    calls = Workload(events_per_s=1.0).model_share * figures.value("model.calls")
    tokens = figures.value("model.input_tokens") + figures.value("model.output_tokens")
    room = figures.value("cluster.utilisation") - figures.value("cpu.commit") / 1e6
    row_us = figures.value("cpu.writer") * (1 + figures.value("cpu.compaction"))
    an_enricher = figures.value("cluster.utilisation") * 1e6 / figures.value("cpu.enricher.2")
    held = figures.value("limit.memory_keys") * figures.value("cluster.replicas")
    many = size(Workload(events_per_s=_MANY), book)
    full = _MANY * figures.value("kafka.broker_disk") / many.kafka_gb
    met = (
        ("4 enrichers on the 4 partitions a topic begins with", 4 * an_enricher),
        ("Bedrock's default quota of Nova Micro", figures.value("quota.amazon.nova-micro") / 60 / tokens / calls),
        ("the budget ledger's one partition", figures.value("limit.ledger") / 2 / calls),
        ("more keys than two enrichers hold in memory; others wait on disk", held * figures.value("keys.events") / DAY_S),
        ("60 brokers with 7 days of events", full * figures.value("kafka.broker_quota")),
        ("one table's commits at an interval of 1 s", figures.value("limit.commits") * room * 1e6 / row_us),
    )  # fmt: skip
    rows = [(name, f"{float(f'{at:.2g}'):,.0f}/s") for name, at in sorted(met, key=lambda pair: pair[1])]
    return Sheet("limits", "Limits in the order they are met", ("limit", "met at about"), rows)
