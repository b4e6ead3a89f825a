"""What is asked of the pipeline, and what it would be built of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

HOURS: Final = 730
SECONDS: Final = HOURS * 3600
"""Of a month, as AWS counts one."""
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)([kM]?)(?:/(s|min|h|day))?")
_FACTORS: Final = {"": 1.0, "k": 1e3, "M": 1e6}
_PERIODS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}


class Workload(BaseModel):
    """Events, and the choices that cost.

    Attributes:
        events_per_s: Average rate; 0 is the pipeline idle.
        model_share: Share of events that a model decides.
        model: Bedrock's model, as in the price list.
        commit_interval_s: Age of a batch's oldest record at which a writer commits.
        retention_days: Days that Kafka keeps events.
        table_days: Days that the table keeps rows; its size is that of a table this old.
        replication: Copies of a partition.
        partitions: Of the topics that grow with events; None takes what the replicas need, four at least.
        node: EC2 instance type of the nodes.
        broker: Instance type of the MSK brokers.
        spot: Nodes beyond the first three are Spot instances.
        egress: How pods reach AWS's APIs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events_per_s: Annotated[float, Field(ge=0, le=100_000_000)]
    model_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    model: str = "amazon.nova-micro"
    commit_interval_s: Annotated[float, Field(ge=0.1)] = 1.0
    retention_days: Annotated[float, Field(gt=0)] = 7.0
    table_days: Annotated[float, Field(gt=0)] = 365.0
    replication: Annotated[int, Field(ge=1, le=3)] = 3
    partitions: Annotated[int, Field(ge=1)] | None = None
    node: str = "m7g.large"
    broker: str = "kafka.m7g.large"
    spot: bool = False
    egress: Literal["endpoints", "nat"] = "endpoints"

    @property
    def events_a_month(self) -> float:
        """Events in a month."""
        return self.events_per_s * SECONDS


def make_workload(**choices: Any) -> Workload:
    """A workload of choices; None leaves one at its default.

    Raises:
        ConfigurationError: A choice is out of its range.
    """
    try:
        return Workload(**{name: value for name, value in choices.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"Not a workload: {problems}.") from error


def events_per_second(text: str) -> float:
    """Read a rate: ``1000``, ``1000/s``, ``60k/min``, ``5M/day``.

    Raises:
        ConfigurationError: It is none, or zero.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) * _FACTORS[match[2]] / _PERIODS[match[3] or "s"] if match else 0.0
    if rate <= 0:
        raise ConfigurationError(f"{text!r} is no rate of events: write 1000/s, 60k/min or 5M/day.")
    return rate
