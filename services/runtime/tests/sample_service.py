"""A service on the memory broker, run as a process by the lifecycle tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headgate_runtime.config import ServiceSettings
from headgate_runtime.errors import ConfigurationError, FencedError, InDoubtError, UnavailableError
from headgate_runtime.lifecycle import Service, run
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, eventually
from pydantic_settings import SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_runtime.records import Record, TopicPartition


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="HEADGATE_SAMPLE_", env_nested_delimiter="__")

    fault: Literal["none", "configuration", "fenced", "in_doubt", "unavailable", "bug"] = "none"
    busy_until: str = ""
    closing_until: str = ""


class SampleWorker:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        sys.stdout.write(f"revoked {len(partitions)}\n")

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        sys.stdout.write(f"lost {len(partitions)}\n")

    def process(self, records: list[Record]) -> None:
        sys.stdout.write(f"processed {len(records)}\n")

    def tick(self, *, draining: bool) -> None:  # noqa: ARG002 - a Worker; this one has nothing to hasten
        if self.settings.fault == "fenced":
            raise FencedError("producer 7 holds the id")
        if self.settings.fault == "in_doubt":
            raise InDoubtError("no answer to the commit")
        if self.settings.fault == "unavailable":
            raise UnavailableError("the broker is away")
        if self.settings.fault == "bug":
            raise ZeroDivisionError

    def congested(self) -> bool:
        return False

    def busy(self) -> bool:
        return self.settings.busy_until != "" and not Path(self.settings.busy_until).exists()

    def close(self) -> None:
        sys.stdout.write("worker closed\n")


def build(settings: Settings) -> Service:
    if settings.fault == "configuration":
        raise ConfigurationError("set HEADGATE_SAMPLE_FAULT to none")
    broker = MemoryBroker()
    broker.create_topic("events", 2)
    metrics = Metrics()
    loop = Loop(
        MemoryConsumer(broker, "sample"),
        SampleWorker(settings),
        topics=["events"],
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
        poll_timeout_s=0.01,
    )
    return Service(
        name="sample",
        loop=loop,
        metrics=metrics,
        ready=lambda: None,
        info=dict,
        close=lambda: close(settings.closing_until),
    )


def close(until: str) -> None:
    sys.stdout.write("service closing\n")
    if until:
        eventually(Path(until).exists, 20)
    sys.stdout.write("service closed\n")


if __name__ == "__main__":
    sys.exit(run(Settings, build))
