"""What several alternatives take: a Kinesis stream, Firehose into a table, the table itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from headgate_admin.cost.lines import Line
from headgate_admin.cost.sizing import DAY_S, GB, MIB
from headgate_admin.cost.workload import HOURS, SECONDS

if TYPE_CHECKING:
    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload

_PROVISIONED: Final = ("kinesis.shard", "kinesis.shard_retention", "kinesis.put")
_ON_DEMAND: Final = ("kinesis.stream", "kinesis.data_in", "kinesis.data_out", "kinesis.retention")


def shards(work: Workload, book: Book) -> int:
    """Shards of a stream of the raw events at their peak: by bytes, and 1,000 records a second each."""
    rate = work.events_per_s * book.measured.value("kafka.peak")
    wanted = rate * book.measured.value("bytes.raw") / MIB / book.measured.value("shard.mib")
    return max(1, math.ceil(max(wanted, rate / 1000)))


def stream(work: Workload, book: Book) -> Line:
    """A Kinesis stream of the raw events with one reader, in whichever mode is cheaper."""
    prices, count = book.prices, shards(work, book)
    hourly = prices.value("kinesis.shard") + (prices.value("kinesis.shard_retention") if work.retention_days > 1 else 0)
    provisioned = count * HOURS * hourly + work.events_a_month / 1e6 * prices.value("kinesis.put")
    written = work.events_a_month * max(1024, book.measured.value("bytes.raw")) / GB
    kept = work.events_per_s * book.measured.value("bytes.raw") * max(0.0, work.retention_days - 1) * DAY_S / GB
    on_demand = (
        HOURS * prices.value("kinesis.stream")
        + written * (prices.value("kinesis.data_in") + prices.value("kinesis.data_out"))
        + kept * prices.value("kinesis.retention")
    )
    if provisioned <= on_demand:
        return Line("Kinesis stream", provisioned, f"{count} shards", _PROVISIONED)
    return Line("Kinesis stream", on_demand, f"on demand, {written:,.0f} GB", _ON_DEMAND)


def firehose(work: Workload, book: Book) -> Line:
    """Firehose into an Iceberg table: JSON, charged by bytes without rounding records up."""
    data = work.events_a_month * book.measured.value("bytes.avro") * book.measured.value("json.factor") / GB
    return Line("Firehose", data * book.prices.value("firehose.data"), f"{data:,.0f} GB", ("firehose.data",))


def table(work: Workload, book: Book) -> Line:
    """The same table in S3."""
    size = work.events_per_s * work.table_days * DAY_S * book.measured.value("bytes.row") / GB
    return Line("S3 storage", size * book.prices.value("s3.storage"), f"{size:,.0f} GB", ("s3.storage",))


def calls_per_s(work: Workload, book: Book) -> float:
    """Calls of the model a second."""
    return work.events_per_s * work.model_share * book.measured.value("model.calls")


def kpus_month(kpus: int, book: Book) -> float:
    """A month of Flink's processing units with their storage, US dollars."""
    return kpus * (HOURS * book.prices.value("flink.kpu") + 50 * book.prices.value("flink.storage"))


def gb_a_month(bytes_per_s: float) -> float:
    """Gigabytes (2^30) a month."""
    return bytes_per_s * SECONDS / GB
