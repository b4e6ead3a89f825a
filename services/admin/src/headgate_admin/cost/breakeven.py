"""Where a choice begins to pay: the model, the share it decides, the commit interval, nodes, brokers, the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headgate_admin.cost.estimate import estimate
from headgate_admin.cost.lines import bill, model_line
from headgate_admin.cost.sizing import node_size, size
from headgate_admin.cost.tables import Sheet, rate, usd
from headgate_admin.cost.workload import HOURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload

SHARES: Final = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0)
INTERVALS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
RETENTIONS_DAYS: Final = (1.0, 3.0, 7.0)
_LAKE: Final = ("S3 requests", "Glue catalog", "KMS")


def sheets(work: Workload, book: Book) -> list[Sheet]:
    """All tables around a workload."""
    return [
        models(work, book),
        shares(work, book),
        intervals(work, book),
        nodes(work, book),
        brokers(work, book),
        retentions(work, book),
        ways_out(work, book),
    ]


def models(work: Workload, book: Book) -> Sheet:
    """Models, each with the share at which it costs as much as all the rest."""
    rows = []
    for name in sorted(book.prices.models, key=lambda name: book.prices.model(name).input):
        found = estimate(_with(work, model=name), book)
        tokens = next(e.line.monthly_usd for e in found.entries if e.line.prices == (name,))
        rest = found.monthly_usd - tokens
        all_of_it = model_line(work.events_per_s * book.measured.value("model.calls"), name, book).monthly_usd
        at = rest / all_of_it if all_of_it else float("inf")
        even = f"{at:.2%}" if at <= 1 else "never"
        per_million = usd(found.per_million(tokens)), usd(found.per_million(found.monthly_usd))
        decision = all_of_it / (work.events_a_month or 1) * 1e6
        rows.append((name, f"${decision:,.0f}", *per_million, even))
    return Sheet(
        "model",
        f"Models, at {rate(work.events_per_s)} and {work.model_share:.1%} of events at the model",
        ("model", "a million decisions", "tokens, a million events", "all, a million events", "as dear as the rest at"),
        rows,
    )


def shares(work: Workload, book: Book) -> Sheet:
    """Shares of events at the model."""
    rows = []
    for share in SHARES:
        found = estimate(_with(work, model_share=share), book)
        tokens = next(e.line.monthly_usd for e in found.entries if e.line.prices == (work.model,))
        part = tokens / found.monthly_usd
        enrichers = size(found.work, book).replicas["enricher"]
        cells = usd(found.monthly_usd), usd(found.per_million(found.monthly_usd))
        rows.append((f"{share:.1%}", *cells, f"{part:.0%}", f"{enrichers}"))
    columns = ("at the model", "a month", "a million events", "of it tokens", "enrichers")
    return Sheet("share", f"Share of events at {work.model}, at {rate(work.events_per_s)}", columns, rows)


def intervals(work: Workload, book: Book) -> Sheet:
    """Commit intervals: what the table's requests cost."""
    rows = []
    for interval in INTERVALS_S:
        lines = bill(_with(work, commit_interval_s=interval), book)
        lake = sum(line.monthly_usd for line in lines if line.name in _LAKE)
        sized = size(_with(work, commit_interval_s=interval), book)
        files = sized.commits_per_s * 86400
        share = lake / sum(line.monthly_usd for line in lines)
        rows.append((f"{interval:g} s", f"{files:,.0f}", usd(lake), f"{share:.1%}"))
    return Sheet(
        "commit_interval",
        f"Commit interval, at {rate(work.events_per_s)}",
        ("interval", "files a day before compaction", "S3, Glue and KMS requests a month", "of the bill"),
        rows,
    )


def nodes(work: Workload, book: Book) -> Sheet:
    """Node types, on demand and with Spot above the first three."""
    rows = []
    names = [
        name.removeprefix("ec2.") for name in book.prices.figures if name.startswith("ec2.") and "spot" not in name
    ]
    for node in names:
        plain = _line(_with(work, node=node, spot=False), book, "nodes")
        spot = _line(_with(work, node=node, spot=True), book, "nodes")
        count = size(_with(work, node=node), book).nodes
        vcpu = book.prices.value(f"ec2.{node}") * HOURS / node_size(node)[0]
        rows.append((node, f"{count}", usd(plain), usd(spot), usd(vcpu)))
    graviton, x86 = book.prices.value("ec2.m7g.large"), book.prices.value("ec2.m7i.large")
    note = f"Graviton (g) pays unless its vCPU does {1 - graviton / x86:.0%} less than an x86 one (i): measure before you choose."
    columns = ("node", "nodes", "on demand a month", "Spot above three, a month", "a vCPU a month")
    return Sheet("node", f"Nodes, at {rate(work.events_per_s)}", columns, rows, note)


def brokers(work: Workload, book: Book) -> Sheet:
    """Broker types."""
    quota = book.measured.value("kafka.broker_quota")
    rows = []
    for broker in (name.removeprefix("msk.") for name in book.prices.figures if name.startswith("msk.kafka.")):
        chosen = _with(work, broker=broker)
        count = size(chosen, book).brokers
        rows.append((broker, f"{count}", usd(_line(chosen, book, "MSK brokers")), "yes" if count <= quota else "no"))
    columns = ("broker", "brokers", "a month", f"within {quota:.0f} a cluster")
    return Sheet("broker", f"Brokers, at {rate(work.events_per_s)}", columns, rows)


def retentions(work: Workload, book: Book) -> Sheet:
    """Days that Kafka keeps events: storage, and the brokers that hold it."""
    rows = []
    for days in RETENTIONS_DAYS:
        kept = _with(work, retention_days=days)
        sized = size(kept, book)
        kafka = _line(kept, book, "MSK brokers") + _line(kept, book, "MSK storage")
        rows.append((f"{days:g}", f"{sized.kafka_gb:,.0f}", f"{sized.brokers}", usd(kafka)))
    columns = ("days", "GB provisioned", "brokers", "brokers and storage a month")
    return Sheet("retention", f"Days that Kafka keeps, at {rate(work.events_per_s)}", columns, rows)


def ways_out(work: Workload, book: Book) -> Sheet:
    """NAT gateways beside interface endpoints."""
    rows = [
        (name, usd(_line(_with(work, egress=way), book, name)))
        for name, way in (("VPC endpoints", "endpoints"), ("NAT gateways", "nat"))
    ]
    prices, zones = book.prices, book.measured.value("cluster.zones")
    dearer = book.measured.value("endpoints") * prices.value("endpoint.zone") - prices.value("nat.gateway")
    data = dearer * zones * HOURS / (prices.value("nat.data") - prices.value("endpoint.data"))
    calls = data * 1024**3 / book.measured.value("model.call_bytes") / 1e6
    note = (
        f"Endpoints are cheaper from {data:,.0f} GB a month on, which is {calls:,.0f}M model calls. "
        "Without NAT nothing in the cluster reaches the internet: that, more than the price, is why they are the default."
    )
    return Sheet("way_out", f"The way to AWS's APIs, at {rate(work.events_per_s)}", ("way", "a month"), rows, note)


def _with(work: Workload, **changes: Any) -> Workload:
    return work.model_copy(update=changes)


def _line(work: Workload, book: Book, name: str) -> float:
    return next(_costs(work, book, name))


def _costs(work: Workload, book: Book, name: str) -> Iterator[float]:
    return (line.monthly_usd for line in bill(work, book) if line.name == name)
