"""What a workload costs a month, line by line, at the prices of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headgate_admin.cost.sizing import GB, Sizing, size
from headgate_admin.cost.workload import HOURS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload

ON_DEMAND_NODES: Final = 3


@dataclass(frozen=True)
class Line:
    """One line of a bill.

    Attributes:
        name: What is paid for.
        monthly_usd: US dollars a month.
        quantity: How much of it, for people.
        prices: Names of the prices it was counted with.
    """

    name: str
    monthly_usd: float
    quantity: str
    prices: tuple[str, ...]


def bill(work: Workload, book: Book) -> list[Line]:
    """All lines of a workload's month.

    Raises:
        ConfigurationError: The price list has no such model or instance type.
    """
    sized = size(work, book)
    parts: tuple[Callable[[Workload, Sizing, Book], Iterator[Line]], ...] = (_kafka, _cluster, _lake, _model, _around)
    return [line for part in parts for line in part(work, sized, book)]


def model_line(calls_per_s: float, model: str, book: Book) -> Line:
    """What the model's tokens cost; every alternative pays as much."""
    figures, price = book.measured, book.prices.model(model)
    calls = calls_per_s * SECONDS
    put, got = figures.value("model.input_tokens"), figures.value("model.output_tokens")
    cost = calls * (put * price.input + got * price.output) / 1e6
    return Line(f"Bedrock, {model}", cost, f"{calls / 1e6:,.2f}M calls of {put:,.0f} + {got:,.0f} tokens", (model,))


def _kafka(work: Workload, sized: Sizing, book: Book) -> Iterator[Line]:
    name = f"msk.{work.broker}"
    brokers = sized.brokers * HOURS * book.prices.value(name)
    yield Line("MSK brokers", brokers, f"{sized.brokers} x {work.broker}", (name,))
    storage = sized.kafka_gb * book.prices.value("msk.storage")
    yield Line("MSK storage", storage, f"{sized.kafka_gb:,.0f} GB", ("msk.storage",))
    crossing = (sized.traffic.written + sized.traffic.read) * SECONDS / GB * book.measured.value("kafka.cross_zone")
    cost = crossing * book.prices.value("network.cross_zone")
    yield Line("between zones", cost, f"{crossing:,.0f} GB", ("network.cross_zone",))


def _cluster(work: Workload, sized: Sizing, book: Book) -> Iterator[Line]:
    prices = book.prices
    yield Line("EKS control plane", HOURS * prices.value("eks.cluster"), "1 cluster", ("eks.cluster",))
    node, beyond = f"ec2.{work.node}", max(0, sized.nodes - ON_DEMAND_NODES) if work.spot else 0
    used = (node, "ec2.spot_discount") if work.spot else (node,)
    paid = sized.nodes - beyond * (prices.value("ec2.spot_discount") if work.spot else 0)
    kind = f"{sized.nodes} x {work.node}" + (f", {beyond} of them Spot" if work.spot else "")
    yield Line("nodes", paid * HOURS * prices.value(node), kind, used)
    disk = sized.nodes * book.measured.value("cluster.node_disk")
    yield Line("node disks", disk * prices.value("ebs.gp3"), f"{disk:,.0f} GB", ("ebs.gp3",))


def _lake(work: Workload, sized: Sizing, book: Book) -> Iterator[Line]:
    figures, prices = book.measured, book.prices
    yield Line(
        "S3 storage",
        sized.table_gb * prices.value("s3.storage"),
        f"{sized.table_gb:,.0f} GB after {work.table_days:g} days",
        ("s3.storage",),
    )
    puts, gets = s3_requests(sized, book)
    cost = (puts * prices.value("s3.put") + gets * prices.value("s3.get")) / 1000
    yield Line("S3 requests", cost, f"{puts / 1e6:,.1f}M PUT, {gets / 1e6:,.1f}M GET", ("s3.put", "s3.get"))
    requests = sized.commits_per_s * SECONDS * figures.value("commit.catalog")
    cost = requests / 1e6 * prices.value("glue.requests")
    yield Line("Glue catalog", cost, f"{requests / 1e6:,.1f}M requests", ("glue.requests",))


def s3_requests(sized: Sizing, book: Book) -> tuple[float, float]:
    """PUTs and GETs a month; each round of compaction reads so many files, and commits as a batch does."""
    figures = book.measured
    commits, merged = sized.commits_per_s * SECONDS, figures.value("compaction.files")
    rounds = commits / (merged - 1)
    puts = (commits + rounds) * figures.value("commit.puts")
    return puts, (commits + rounds) * figures.value("commit.gets") + rounds * merged


def _model(work: Workload, sized: Sizing, book: Book) -> Iterator[Line]:
    yield model_line(sized.calls_per_s, work.model, book)


def _around(work: Workload, sized: Sizing, book: Book) -> Iterator[Line]:
    figures, prices = book.measured, book.prices
    yield _way_out(work, sized, book)
    requests = sum(s3_requests(sized, book)) * figures.value("kms.share")
    keys = figures.value("kms.keys")
    cost = keys * prices.value("kms.key") + requests / 10_000 * prices.value("kms.requests")
    yield Line("KMS", cost, f"{keys:.0f} keys, {requests / 1e6:,.2f}M requests", ("kms.key", "kms.requests"))
    alarms, logs = figures.value("alarms"), sum(sized.replicas.values()) * figures.value("logs.replica")
    cost = alarms * prices.value("cloudwatch.alarm") + logs * prices.value("cloudwatch.logs")
    used = ("cloudwatch.logs", "cloudwatch.alarm")
    yield Line("CloudWatch", cost, f"{logs:,.0f} GB of logs, {alarms:.0f} alarms", used)


def _way_out(work: Workload, sized: Sizing, book: Book) -> Line:
    figures, prices = book.measured, book.prices
    zones = figures.value("cluster.zones")
    data = sized.calls_per_s * SECONDS * figures.value("model.call_bytes") / GB
    if work.egress == "nat":
        cost = zones * HOURS * prices.value("nat.gateway") + data * prices.value("nat.data")
        return Line("NAT gateways", cost, f"{zones:.0f} gateways, {data:,.0f} GB", ("nat.gateway", "nat.data"))
    endpoints = figures.value("endpoints")
    cost = endpoints * zones * HOURS * prices.value("endpoint.zone") + data * prices.value("endpoint.data")
    used = ("endpoint.zone", "endpoint.data")
    return Line("VPC endpoints", cost, f"{endpoints:.0f} in {zones:.0f} zones, {data:,.0f} GB", used)
