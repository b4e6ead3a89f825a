"""How much of everything a workload takes: replicas, nodes, brokers, bytes, commits and calls. Calculation, not measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from headgate_admin.cost.figures import Book, FigureList
    from headgate_admin.cost.workload import Workload

MIB: Final = 1024 * 1024
GB: Final = 1024**3
DAY_S: Final = 86400
_VCPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8}
_GIB_A_VCPU: Final = {"c": 2, "m": 4}
_SERVICES: Final = ("producer", "enricher", "processor", "writer")
_POINTS: Final = ((0.0, "cpu.enricher.0"), (0.02, "cpu.enricher.2"), (0.10, "cpu.enricher.10"))


@dataclass(frozen=True)
class Traffic:
    """Kafka's bytes a second, without replication.

    Attributes:
        written: By producers.
        read: By consumers.
        kept: What stays for the retention time, of the written.
    """

    written: float
    read: float
    kept: float


@dataclass(frozen=True)
class Sizing:
    """What a workload takes.

    Attributes:
        calls_per_s: Calls of the model a second.
        cpu_s: CPU seconds a second by service.
        replicas: Processes by service.
        nodes: Of the Kubernetes cluster.
        traffic: Kafka's bytes.
        partitions: Of a topic that grows with events.
        brokers: Of the Kafka cluster.
        kafka_gb: Provisioned on all brokers together.
        commits_per_s: Of the table, by all writers together.
        table_gb: Size of a table of the asked age.
    """

    calls_per_s: float
    cpu_s: dict[str, float]
    replicas: dict[str, int]
    nodes: int
    traffic: Traffic
    partitions: int
    brokers: int
    kafka_gb: float
    commits_per_s: float
    table_gb: float


def size(work: Workload, book: Book) -> Sizing:
    """Size everything for a workload.

    Raises:
        ConfigurationError: The figures know nothing of a chosen instance type.
    """
    figures = book.measured
    calls = work.events_per_s * work.model_share * figures.value("model.calls")
    cpu = _cpu_s(work, figures)
    replicas = {name: _replicas(cpu[name], figures) for name in _SERVICES}
    replicas["writer"] = _writers(work, figures)
    commits = min(work.events_per_s, replicas["writer"] / work.commit_interval_s)
    cpu["writer"] += commits * figures.value("cpu.commit") / 1e6
    traffic = _traffic(work, calls, replicas["enricher"], figures)
    partitions = work.partitions or max(4, replicas["enricher"], replicas["writer"])
    kept_gb = traffic.kept * work.retention_days * DAY_S * work.replication / GB / figures.value("kafka.fill")
    brokers = _brokers(work, traffic, partitions, kept_gb, figures)
    return Sizing(
        calls_per_s=calls,
        cpu_s=cpu,
        replicas=replicas,
        nodes=_nodes(work, cpu, replicas, figures),
        traffic=traffic,
        partitions=partitions,
        brokers=brokers,
        kafka_gb=max(kept_gb, brokers * figures.value("kafka.least_storage")),
        commits_per_s=commits,
        table_gb=work.events_per_s * work.table_days * DAY_S * figures.value("bytes.row") / GB,
    )


def enricher_us(share: float, figures: FigureList) -> float:
    """CPU of the enricher for an event, microseconds: between the measured shares on a line, beyond them on the last."""
    points = [(at, figures.value(name)) for at, name in _POINTS]
    lines = list(pairwise(points))
    (x0, y0), (x1, y1) = next((line for line in lines if share <= line[1][0]), lines[-1])
    return y0 + (share - x0) * (y1 - y0) / (x1 - x0)


def _cpu_s(work: Workload, figures: FigureList) -> dict[str, float]:
    an_event = {
        "producer": figures.value("cpu.producer"),
        "enricher": enricher_us(work.model_share, figures),
        "processor": figures.value("cpu.processor"),
        "writer": _row_us(figures),
    }
    return {name: work.events_per_s * us / 1e6 for name, us in an_event.items()}


def _row_us(figures: FigureList) -> float:
    return figures.value("cpu.writer") * (1 + figures.value("cpu.compaction"))


def _replicas(cpu_s: float, figures: FigureList, room: float | None = None) -> int:
    """Processes of one core each; ``room`` is what a process has of it for events."""
    share = figures.value("cluster.utilisation") if room is None else room
    return max(int(figures.value("cluster.replicas")), math.ceil(cpu_s / share))


def _writers(work: Workload, figures: FigureList) -> int:
    """Each writer commits by itself, so that its commits take part of its core however few its rows are."""
    room = figures.value("cluster.utilisation") - figures.value("cpu.commit") / 1e6 / work.commit_interval_s
    return _replicas(work.events_per_s * _row_us(figures) / 1e6, figures, room)


def _traffic(work: Workload, calls_per_s: float, enrichers: int, figures: FigureList) -> Traffic:
    rate = work.events_per_s
    raw, enriched = rate * figures.value("bytes.raw"), rate * figures.value("bytes.enriched")
    results, ledger = calls_per_s * figures.value("bytes.result"), calls_per_s * figures.value("bytes.ledger")
    kept = raw + enriched + results + ledger
    return Traffic(
        written=kept + rate * figures.value("bytes.memory"),
        read=raw + 2 * enriched + enrichers * ledger,  # writer and processor; each enricher reads the whole ledger
        kept=kept,
    )


def _brokers(work: Workload, traffic: Traffic, partitions: int, kept_gb: float, figures: FigureList) -> int:
    name = f"broker.{work.broker}"
    peak = figures.value("kafka.peak") / MIB
    written, read = traffic.written * peak, traffic.read * peak
    network = written * figures.value("kafka.network_factor") + read * figures.value("kafka.fanout_factor")
    spread = (4 * partitions + figures.value("kafka.other_partitions")) * work.replication
    wanted = max(
        written * figures.value("kafka.storage_factor") / figures.value(f"{name}.disk"),
        network / figures.value(f"{name}.network"),
        spread / figures.value(f"{name}.partitions"),
        kept_gb / figures.value("kafka.broker_disk"),
    )
    zones = int(figures.value("cluster.zones"))
    return zones * max(1, math.ceil(wanted / zones))


def _nodes(work: Workload, cpu_s: dict[str, float], replicas: dict[str, int], figures: FigureList) -> int:
    vcpus, gib = node_size(work.node)
    cpu = sum(cpu_s.values()) / figures.value("cluster.utilisation") + figures.value("cluster.other_cpu")
    memory = sum(count * figures.value(f"memory.{name}") for name, count in replicas.items())
    memory += figures.value("cluster.other_memory")
    return max(
        int(figures.value("cluster.zones")),
        math.ceil(cpu / (vcpus - figures.value("cluster.node_cpu"))),
        math.ceil(memory / (gib - figures.value("cluster.node_memory"))),
    )


def node_size(node: str) -> tuple[int, int]:
    """VCPUs and GiB of an instance type.

    Raises:
        ConfigurationError: It is of no family or size that is known here.
    """
    family, _, kind = node.partition(".")
    vcpus, gib = _VCPUS.get(kind), _GIB_A_VCPU.get(family[:1])
    if vcpus is None or gib is None:
        raise ConfigurationError(f"{node!r} is no known node: c or m instances of size {', '.join(_VCPUS)} are.")
    return vcpus, vcpus * gib
