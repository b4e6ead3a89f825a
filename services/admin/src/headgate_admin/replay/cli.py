"""``headgate replay``: decides recorded events again, with today's agents, and compares."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.avro import Decoder
from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.groups import KafkaGroup
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import (  # noqa: TC001  # typer reads them
    BootstrapServers,
    ContractsDir,
    Json,
    RegistryUrl,
    ReplicationFactor,
)
from headgate_admin.output import ExitCode, Output, reporting, table_of
from headgate_admin.replay.comparison import Comparison
from headgate_admin.replay.process import EnricherProcess, environment
from headgate_admin.replay.stretch import Stretch, find_stretch, replay_topics
from headgate_admin.times import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.records import Record

    from headgate_admin.config import AdminSettings

READ_TIMEOUT_S = 3600.0
POLL_S = 0.25
STALLED_S = 300.0
LOGS = Path("build/replay")

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(help="Name of the replay; its topic is replay-NAME.")],
    *,
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601 time; else from the first record on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="ISO 8601 time; else to the end as it is now.")] = None,
    live_model: Annotated[
        float | None,
        typer.Option(min=0, help="Ask the models, and pay so many dollars at most; else their recorded answers."),
    ] = None,
    expect_identical: Annotated[
        bool, typer.Option("--expect-identical", help="Exit with 1 where any decision is not byte for byte as it was.")
    ] = False,
    replication_factor: ReplicationFactor = None,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Decide recorded events again, into a topic of their own, and compare.

    Agents, models and tools are those of HEADGATE_ENRICHER_... in this environment. Nothing of the enrichers that
    decide is touched: not their topics, groups, memory or budgets.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(
            bootstrap_servers=bootstrap_servers,
            registry_url=registry_url,
            contracts=contracts,
            replication_factor=replication_factor,
        )
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        most = None if live_model is None else int(live_model * 1_000_000)
        document = Replay(settings, f"replay-{name}", output).run(milliseconds(start), milliseconds(end), most)
        _report(output, document)
    if expect_identical and document["identical"] < document["events"] + document["unreadable"]:
        raise typer.Exit(ExitCode.REFUSED)


class Replay:
    """One replay.

    Args:
        settings: Settings of the command line.
        topic: Topic of what is decided again.
        output: Where its progress is told.
    """

    def __init__(self, settings: AdminSettings, topic: str, output: Output) -> None:
        self._settings = settings
        self._topic = topic
        self._output = output
        self._contracts = Contracts.load(settings.contracts_dir)
        self._registry = ConfluentRegistry(settings.registry)
        self._admin = KafkaAdmin(settings.kafka)
        self._group = KafkaGroup(settings.kafka, topic)

    def run(self, from_ms: int | None, to_ms: int | None, most_microdollars: int | None) -> dict[str, Any]:
        """Replay what was decided between two times, and say what came of it.

        Raises:
            RejectedError: There is a replay of that name already, nothing to replay, or the enricher has ended.
            UnavailableError: Broker or registry does not answer, or the enricher gets nowhere.
        """
        source = self._settings.enriched_topic
        stretch = find_stretch(self._admin, source, from_ms=from_ms, to_ms=to_ms)
        contract = self._contracts.topic(source)
        comparison = Comparison(contract, self._contracts.record(contract.record), self._registry)
        began_s = time.monotonic()
        try:
            with replay_topics(
                self._admin, self._contracts, source, self._topic, replication_factor=self._settings.replication_factor
            ):
                read_range(
                    self._settings.kafka, stretch.starts, comparison.take_decided, READ_TIMEOUT_S, ends=stretch.ends
                )
                self._decide(stretch, comparison.last, most_microdollars)
                self._read(self._topic, comparison.take_replayed)
                dead = self._dead_letters()
            return {
                "topic": self._topic,
                **comparison.document(),
                "dead_letters": dead,
                "seconds": round(time.monotonic() - began_s, 1),
            }
        finally:
            comparison.close()

    def _decide(self, stretch: Stretch, last: Mapping[TopicPartition, int], most_microdollars: int | None) -> None:
        if not last:
            return
        self._group.move(stretch.starts)
        ends = {partition.partition: end for partition, end in stretch.ends.items()}
        settings = environment(self._settings, self._topic, ends, most_microdollars)
        begun = {partition: stretch.starts[partition] for partition in last}
        total = sum(last.values()) - sum(begun.values())
        with (
            EnricherProcess(settings, LOGS / f"{self._topic}.log") as enricher,
            self._output.progress("replaying", total) as advance,
        ):
            done, moved_s = 0, time.monotonic()
            while done < total:
                enricher.wait(POLL_S)
                before, done = done, self._done(begun, last, done)
                advance(done)
                if done > before:
                    moved_s = time.monotonic()
                elif time.monotonic() - moved_s > STALLED_S:
                    raise UnavailableError(
                        f"the enricher got nowhere for {STALLED_S:g} s; see {LOGS / self._topic}.log"
                    )

    def _done(self, begun: Mapping[TopicPartition, int], last: Mapping[TopicPartition, int], before: int) -> int:
        """Records that are done, as the group has committed; what it was before, where the brokers do not say."""
        try:
            committed = self._group.committed()
        except UnavailableError:
            return before
        return sum(min(committed.get(place, start), last[place]) - start for place, start in begun.items())

    def _dead_letters(self) -> dict[str, int]:
        """Events that could not be decided, by cause."""
        contract = self._contracts.topic(self._contracts.topic(self._settings.enriched_topic).dead_letters or "")
        decoder = Decoder(self._registry, self._contracts.record(contract.record))
        causes: dict[str, int] = {}

        def take(record: Record) -> None:
            cause = decoder.decode(record.value)["cause"]
            causes[cause] = causes.get(cause, 0) + 1

        self._read(f"{self._topic}.dlq", take)
        return causes

    def _read(self, topic: str, take: Any) -> None:
        partitions = self._admin.topics()[topic].partitions
        starts = {TopicPartition(topic, number): 0 for number in range(partitions)}
        read_range(self._settings.kafka, starts, take, READ_TIMEOUT_S)


def _report(output: Output, document: Mapping[str, Any]) -> None:
    events = document["events"]
    rows = [
        (what.replace("_", " "), f"{document[what]:,}", f"{document[what] / events:.2%}" if events else "")
        for what in ("identical", "different", "missing", "not_recorded")
    ]
    rows += [(f"  differs in {name}", f"{count:,}", "") for name, count in document["fields"].items()]
    rows += [(f"  {change}", f"{count:,}", "") for change, count in document["decisions"].items()]
    rows += [(f"  dead letter: {cause}", f"{count:,}", "") for cause, count in document["dead_letters"].items()]
    table = table_of(("decisions", "events", "share"), rows)
    output.result(document, f"{events:,} events replayed into {document['topic']} in {document['seconds']} s", table)
